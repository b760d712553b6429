"""`FakeGateway`: the platform's HTTP API in a thread, for tests of programs that use the client.

It keeps a log, validates what is published by the contracts, streams, stores objects, and shows
the rows that a test gives it. It decides nothing: what a service would answer to a wish, a test
says with `react`. No promise of the platform (durability, order under load) is tested by it.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from penstock_schemas import ANYONE, Event, SchemaError, decode, derived_id, event_class

STREAM_STEP_SECONDS = 0.05
EPOCH = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
Reaction = Callable[[dict[str, Any]], Sequence[Event]]


class Problem(Exception):
    """An answer of problem details."""

    def __init__(self, status: int, detail: str, **more: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"type": "about:blank", "title": detail, "status": status, "detail": detail}
        self.body |= more


class FakeGateway:
    """A context manager; `url` is where it answers. Time in its log goes one second an event."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """Rows by namespace and noun."""
        self.answers: dict[str, Any] = {}
        """Further answers of GET by path: JSON, or text."""
        self.letters: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        """Every request: method, path with query, headers, body."""
        self.break_next = 0
        """So many of the next requests are cut off after they took effect, without an answer."""
        self.cut_streams_after: int | None = None
        """A stream is cut off after so many events."""
        self._reactions: dict[str, Reaction] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self.changed = threading.Condition()
        self._closing = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeGateway":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.changed:
            self._closing = True
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def react(self, type: str, reaction: Reaction) -> None:
        """What a service appends when it sees an event of this type, in the same moment."""
        self._reactions[type] = reaction

    def append(
        self, event: Event, namespace: str = "default", cause: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Append an event as its owner would."""
        sequence = len(self.events) + 1
        id = derived_id(str(sequence), "fake")
        recorded = {
            "sequence": sequence,
            "time": (EPOCH + timedelta(seconds=sequence)).isoformat(),
            "id": id,
            "type": event.type,
            "version": event.version,
            "namespace": namespace,
            "subject_id": event.id,
            "source": f"/{event.owner}",
            "correlation_id": cause["correlation_id"] if cause else id,
            "causation_id": cause["id"] if cause else None,
            "data": event.model_dump(mode="json"),
        }
        with self.changed:
            self.events.append(recorded)
            self.changed.notify_all()
        reaction = self._reactions.get(event.type)
        for next_event in reaction(recorded) if reaction else ():
            self.append(next_event, namespace, recorded)
        return recorded

    def publish(self, namespace: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """What POST /event does."""
        if key in self._keys:
            return {**self._keys[key], "duplicate": True}
        try:
            cls = event_class(body["type"])
            event = decode(cls.type, cls.version, json.dumps(body["data"]))
        except SchemaError as error:
            fields = getattr(error, "fields", ())
            raise Problem(422, str(error), field=fields[0][0] if fields else "type") from error
        if cls.owner != ANYONE:
            raise Problem(403, f"{cls.type} is a fact of the service {cls.owner}", field="type")
        recorded = self.append(event, namespace)
        self._keys[key] = {"id": recorded["id"], "sequence": recorded["sequence"]}
        return {**self._keys[key], "duplicate": False}

    def matching(self, namespace: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """The events that GET /event gives."""
        since = datetime.fromisoformat(query["since"]) if "since" in query else None
        return [
            event
            for event in self.events
            if namespace in ("-", event["namespace"])
            and event["sequence"] > int(query.get("after", 0))
            and query.get("type", event["type"]) == event["type"]
            and query.get("id", event["subject_id"]) == event["subject_id"]
            and (since is None or datetime.fromisoformat(event["time"]) >= since)
        ]

    def tree(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The story of an event, from its root."""

        def node(event: Mapping[str, Any]) -> dict[str, Any]:
            children = [one for one in self.events if one["causation_id"] == event["id"]]
            mark = {"asked": True} if event["id"] == asked["id"] else {}
            return {"event": event, "children": [node(one) for one in children], **mark}

        return node(next(one for one in self.events if one["id"] == asked["correlation_id"]))

    def follow(self, namespace: str, query: Mapping[str, str], position: int) -> Any:
        """Each event of a stream as it comes, until the gateway closes."""
        sent = 0
        while not self._closing and sent != self.cut_streams_after:
            with self.changed:
                found = self.matching(namespace, {**query, "after": str(position)})
                if not found:
                    self.changed.wait(STREAM_STEP_SECONDS)
                    yield None
                    continue
            for event in found:
                if sent == self.cut_streams_after:
                    self.cut_streams_after = None
                    return
                position, sent = event["sequence"], sent + 1
                yield event

    def store(self, body: bytes) -> dict[str, Any]:
        """What POST /object does."""
        digest = hashlib.sha256(body).hexdigest()
        self.objects[digest] = body
        uri = f"s3://penstock/default/sha256/{digest[:2]}/{digest}"
        return {
            "uri": uri,
            "digest": f"sha256:{digest}",
            "size_bytes": len(body),
            "kind": "file",
        }


def _handler(gateway: FakeGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a test reads standard error."""

        def do_GET(self) -> None:
            self._answer(self._get)

        def do_POST(self) -> None:
            self._answer(self._post)

        def do_PUT(self) -> None:
            self._answer(self._post)

        def do_DELETE(self) -> None:
            self._answer(self._delete)

        def _answer(self, act: Callable[[list[str], dict[str, str], bytes], Any]) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self._body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            gateway.requests.append((self.command, self.path, headers, body))
            try:
                status, found = act(
                    [unquote(part) for part in url.path.split("/")[1:]], query, body
                )
            except Problem as problem:
                status, found = problem.status, problem.body
            if gateway.break_next:
                gateway.break_next -= 1
                self.close_connection = True
                return
            if status:
                self._write(status, found)

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _write(self, status: int, found: Any) -> None:
            text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
            data = text.encode()
            self.send_response(status)
            kind = "problem+json" if status >= 400 else "json"
            self.send_header("content-type", f"application/{kind}")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _get(self, path: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
            plain = "/" + "/".join(path)
            if plain in gateway.answers:
                return 200, gateway.answers[plain]
            match path:
                case ["v1", "platform"]:
                    found = {"version": "0", "services": {}, "position": len(gateway.events)}
                    return 200, {**found, "gateway_url": gateway.url, "serving_url": gateway.url}
                case ["v1", "deadletter"]:
                    return 200, {"items": gateway.letters}
                case ["v1", namespace, "event", *rest]:
                    return self._events(namespace, rest, query)
                case ["v1", namespace, noun, *rest] if len(rest) < 2:
                    return 200, self._view(namespace, noun, rest, query)
            raise Problem(404, f"no such path: {plain}")

        def _events(
            self, namespace: str, path: list[str], query: dict[str, str]
        ) -> tuple[int, Any]:
            match path:
                case []:
                    found_events = gateway.matching(namespace, query)
                    return 200, {
                        "items": found_events[: int(query.get("limit", 1000))],
                        "position": len(gateway.events),
                    }
                case ["stream"]:
                    return self._stream(namespace, query)
            for event in gateway.events:
                if path[0] in (event["id"], str(event["sequence"])):
                    return 200, gateway.tree(event) if len(path) > 1 else event
            raise Problem(404, f"there is no event {path[0]}")

        def _view(
            self, namespace: str, noun: str, path: list[str], query: dict[str, str]
        ) -> dict[str, Any]:
            rows = gateway.rows.get((namespace, noun), [])
            if not path:
                return self._page(rows, query, len(gateway.events))
            for row in rows:
                if row["id"] == path[0]:
                    return row
            raise Problem(404, f"there is no {noun} {path[0]!r} in {namespace}")

        def _page(
            self, rows: list[dict[str, Any]], query: dict[str, str], position: int
        ) -> dict[str, Any]:
            known = ("at", "limit", "cursor")
            filters = {name: value for name, value in query.items() if name not in known}
            rows = [r for r in rows if all(str(r.get(n)) == v for n, v in filters.items())]
            start, limit = int(query.get("cursor", 0)), int(query.get("limit", 500))
            end = start + min(limit, 2)  # small pages, so that a list has to ask for more
            following = str(end) if end < len(rows) else None
            items = rows[start:end]
            return {
                "items": items,
                "position": position,
                "at": query.get("at"),
                "next": following,
            }

        def _post(self, path: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
            match path:
                case ["v1", namespace, "event"]:
                    key = self.headers["Idempotency-Key"]
                    return 202, gateway.publish(namespace, json.loads(body), key)
                case ["v1", _, "object"]:
                    return 201, gateway.store(body)
                case ["v1", _, "folder"]:
                    files = json.loads(body)["files"]
                    total = sum(one["object"]["size_bytes"] for one in files)
                    stored = gateway.store(json.dumps(files).encode())
                    return 201, {**stored, "kind": "folder", "size_bytes": total}
                case ["v1", "deadletter", position, "retry"]:
                    self._letter(position)
                    return 200, {"id": "again", "sequence": 99}
            if "/" + "/".join(path) in gateway.answers:
                return 200, gateway.answers["/" + "/".join(path)]
            raise Problem(404, "no such path")

        def _delete(self, path: list[str], query: dict[str, str], body: bytes) -> tuple[int, Any]:
            if "/" + "/".join(path) not in gateway.answers:
                self._letter(path[-1])
            return 200, {}

        def _letter(self, position: str) -> None:
            for letter in gateway.letters:
                if str(letter["position"]) == position:
                    gateway.letters.remove(letter)
                    return
            raise Problem(404, f"there is no dead letter {position}")

        def _stream(self, namespace: str, query: dict[str, str]) -> tuple[int, Any]:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.close_connection = True
            position = int(query.get("after") or self.headers.get("Last-Event-ID") or 0)
            try:
                for event in gateway.follow(namespace, query, position):
                    line = json.dumps(event, ensure_ascii=False)
                    text = (
                        f"id: {event['sequence']}\nevent: event\ndata: {line}\n\n"
                        if event
                        else ": alive\n\n"
                    )
                    self.wfile.write(text.encode())
                    self.wfile.flush()
            except OSError:
                pass  # the reader has gone
            return 0, None

    return Handler
