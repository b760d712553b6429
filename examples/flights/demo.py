"""The whole lifecycle on real flights, wired only by events; run it with `make demo`.

January to March are registered; everything up to a served, promoted model follows from that one
event. Then a signed webhook says that April to June have arrived, and the retraining runs by
itself, while a client keeps asking the endpoint. Nothing here tells a service what to do next.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from declare import DATASET, NAME, SOURCE, declare
from rich.console import Console
from rich.table import Table

import penstock
from penstock.client.sync import Client
from penstock_schemas import ObjectRef

HERE = Path(__file__).parent
NAMESPACE = "demo"
READY_SECONDS = 60.0
STEP_SECONDS = 300.0
ASKING_ROWS = 5
QUIET = frozenset({"plan.committed", "job.queued", "node.registered"})
"""Events that are true and of no interest to somebody who watches."""

console = Console(highlight=False)


@contextlib.contextmanager
def platform(directory: Path, *, keep: bool) -> Iterator[dict[str, Any]]:
    """`penstock up` in its own process; what it said when it was ready."""
    penstock_command = Path(sys.executable).with_name("penstock")
    with (directory / "up.log").open("w") as log:
        process = subprocess.Popen(
            [penstock_command, "up", "--data-dir", directory / "data", "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=keep,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit((directory / "up.log").read_text())
    try:
        yield json.loads(line)
    finally:
        if not keep:
            process.terminate()
            process.wait(READY_SECONDS)


def stage(directory: Path, months: str) -> list[Path]:
    """Have prepare.py write the Parquet files of some months, such as `"1-3"`."""
    printed = _script("prepare.py", directory, "--months", months)
    return [Path(line) for line in printed.splitlines()]


def _script(name: str, *arguments: str | Path) -> str:
    """What one of the scripts printed. A process of its own gives its memory back when it ends."""
    command = [sys.executable, HERE / name, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def watch(url: str, started: float) -> None:
    """Print what happens, as it happens."""
    client = penstock.connect(url, NAMESPACE, patient=True)
    with contextlib.suppress(penstock.PenstockError, httpx.HTTPError):
        for event in client.subscribe(after=0):
            if event.type not in QUIET:
                console.print(
                    f"{time.monotonic() - started:6.1f} s  {event.type:<24} "
                    f"{event.payload.get(event.noun, event.id)!s:<38.38} {_what(event.payload)}",
                    soft_wrap=True,
                    markup=False,
                )


def _what(payload: dict[str, Any]) -> str:
    if "value" in payload:
        return f"auc {payload['value']:.4f}"
    for name in ("reason", "training_rows", "dataset_version", "produced_id", "params"):
        if payload.get(name):
            return f"{name} {payload[name]}"[:70]
    return ""


class Asker(threading.Thread):
    """A client that keeps asking the endpoint and counts what it is told."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.answered: dict[str, int] = {}
        self.failed: list[str] = []
        self.unreachable = 0
        self._url, self._body = url, body
        self._over = threading.Event()
        self._until = ""

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.is_set() and self._until not in self.answered:
                try:
                    answer = client.post(self._url, json=self._body)
                    answer.raise_for_status()
                except httpx.TransportError as error:
                    self.unreachable += 1  # only where somebody kills the platform itself
                    self.failed.append(repr(error))
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                else:
                    version = str(answer.json()["model_version"])
                    self.answered[version] = self.answered.get(version, 0) + 1
                self._over.wait(0.02)

    def finish(self, version: str) -> None:
        """Go on until this version has answered, at most `STEP_SECONDS`; then stop."""
        self._until = version
        self.join(STEP_SECONDS)
        self._over.set()
        self.join()


def send_webhook(url: str, secret: str, body: dict[str, Any]) -> httpx.Response:
    """A delivery signed as Standard Webhooks asks (HMAC-SHA256)."""
    content = json.dumps(body).encode()
    message_id, stamp = f"msg_{secrets.token_hex(12)}", str(int(datetime.now(UTC).timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{stamp}.".encode() + content, hashlib.sha256).digest()
    answer = httpx.post(
        f"{url}/v1/webhooks/{NAMESPACE}/{SOURCE}",
        content=content,
        headers={
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        },
        timeout=30,
    )
    answer.raise_for_status()
    return answer


def wait_for_version(client: Client, version: int) -> None:
    """Wait until a rollout of this model version, or the refusal of it, is in the log."""
    for event in client.subscribe(
        "rollout.completed", "promotion.refused", after=0, timeout_seconds=STEP_SECONDS
    ):
        if event.payload["model"] == NAME and event.payload["model_version"] == version:
            if event.type == "promotion.refused":
                raise SystemExit(f"version {version} was refused: {event.payload['reason']}")
            return
    raise SystemExit(f"version {version} was not served within {STEP_SECONDS:.0f} s")


def fetch_folder(client: Client, ref: ObjectRef, target: Path) -> None:
    """Write the files that a folder's manifest names; each is verified by its digest."""
    bucket_and_namespace = ref.uri.rsplit("/", 3)[0]
    for file in json.loads(client.download(ref))["files"]:
        algorithm, _, name = file["digest"].partition(":")
        uri = f"{bucket_and_namespace}/{algorithm}/{name[:2]}/{name}"
        one = ObjectRef(uri=uri, digest=file["digest"], size_bytes=file["size_bytes"])
        path = target / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.download(one))


def offline(client: Client, version: int, work: Path) -> dict[str, Any]:
    """Some held-out rows as a request, and the version's own answer to them without a server."""
    row = next(
        e.payload
        for e in client.subscribe("model.registered", after=0)
        if e.payload["model_version"] == version
    )
    features = [e.payload for e in client.event.list() if e.type == "features.materialized"]
    folder, table = work / f"model-{version}", work / "holdout.parquet"
    fetch_folder(client, ObjectRef.model_validate(row["artifact"]), folder)
    table.write_bytes(client.download(ObjectRef.model_validate(features[-1]["holdout"])))
    answer: dict[str, Any] = json.loads(
        _script("predict.py", folder, table, "--rows", str(ASKING_ROWS))
    )
    return answer


def summary(client: Client, asker: Asker, seconds: float) -> None:
    """What was learned and what was served when."""
    table = Table(title=f"Late by more than 15 minutes? ({seconds:.0f} s in all)")
    for column in ("version", "held-out AUC", "accuracy", "the one before", "why"):
        table.add_column(column, justify="left" if column == "why" else "right")
    events = client.event.list()
    promoted = [event.payload for event in events if event.type == "model.promoted"]
    for this, following in zip(promoted, [*promoted[1:], None], strict=True):
        measured, how = this["evidence"], "candidate"
        if not measured and following is not None:
            # The baseline had no gate of its own: the next one's measured it, as the incumbent.
            measured, how = following["evidence"], "incumbent"
        before = this["evidence"]
        table.add_row(
            str(this["model_version"]),
            _figure(measured, f"{how}_auc"),
            _figure(measured, f"{how}_accuracy"),
            f"{_figure(before, 'incumbent_auc')}, {_figure(before, 'incumbent_accuracy')}",
            this["reason"],
        )
    for event in events:
        if event.type == "rollout.completed":
            console.print(
                f"served from {event.time:%H:%M:%S}: version {event.payload['model_version']}"
            )
    console.print(table)
    answered = ", ".join(f"{n} answers by version {v}" for v, n in asker.answered.items())
    console.print(f"asked during the switch: {answered}; {len(asker.failed)} failed")


def _figure(evidence: dict[str, float], name: str) -> str:
    return f"{evidence[name]:.4f}" if name in evidence else "–"


def main() -> None:
    """Run the demo; exit 1 where a prediction differs or a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the platform running")
    parser.add_argument("--work-dir", type=Path, help="where it keeps everything (an empty folder)")
    parser.add_argument(
        "--unreachable-ok",
        action="store_true",
        help="do not fail for requests sent while somebody had killed the platform",
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    work = arguments.work_dir or Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    work.mkdir(parents=True, exist_ok=True)
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    with platform(work, keep=arguments.keep) as up:
        url = up["gateway_url"]
        client = penstock.connect(url, NAMESPACE, patient=True)
        threading.Thread(target=watch, args=(url, started), daemon=True).start()
        client.secret.set(SOURCE, secret)
        declare(client, NAMESPACE)
        first = stage(work / "first", "1-3")
        client.dataset.register(DATASET, first[0].parent)
        wait_for_version(client, 2)

        before = offline(client, 2, work)
        infer = f"{up['serving_url']}/{NAMESPACE}/{NAME}/v2/models/{NAME}/infer"
        asker = Asker(infer, before["request"])
        asker.start()
        later = stage(work / "later", "4-6")
        files = [{"path": path.name, **_located(client.upload(path))} for path in later]
        send_webhook(url, secret, {"type": "months.arrived", "files": files})
        wait_for_version(client, 3)
        asker.finish("3")

        wanted = offline(client, 3, work)
        answer = httpx.post(infer, json=wanted["request"], timeout=30).json()
        served = next(o["data"] for o in answer["outputs"] if o["name"] == "probability")
        summary(client, asker, time.monotonic() - started)
        same = served == wanted["probability"]
        console.print(f"predictions over HTTP equal those offline: {same}")
        one = first_row(wanted["request"])
        console.print(f"\nendpoint  {infer}")
        console.print(f"curl -s {infer} -d '{json.dumps(one)}'", soft_wrap=True, markup=False)
        look = f"PENSTOCK_URL={url} penstock -n {NAMESPACE}"
        console.print(
            f"look around (make demo ARGS=--keep leaves it running):\n  {look} event tail"
        )
        excused = asker.unreachable if arguments.unreachable_ok else 0
        if len(asker.failed) > excused or not same:
            raise SystemExit(1)


def first_row(request: dict[str, Any]) -> dict[str, Any]:
    """The same request with its first row alone."""
    return {"inputs": [i | {"shape": [1], "data": i["data"][:1]} for i in request["inputs"]]}


def _located(ref: ObjectRef) -> dict[str, str]:
    return {"uri": ref.uri, "digest": ref.digest}


if __name__ == "__main__":
    main()
