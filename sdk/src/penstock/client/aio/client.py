"""The client: publish, subscribe, wait, upload, and the platform's nouns as attributes."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from penstock.client.address import DEFAULT_NAMESPACE, NAMESPACE_VARIABLE, find_address, state_dir
from penstock.client.aio import applying
from penstock.client.aio.access import (
    AsyncCredentials,
    AsyncMembers,
    AsyncNamespaces,
    AsyncTokens,
)
from penstock.client.aio.deadletters import AsyncDeadLetters
from penstock.client.aio.doors import AsyncSecrets, AsyncSources, AsyncSubscriptions
from penstock.client.aio.effects import Handler, chunks
from penstock.client.aio.events import AsyncEventLog
from penstock.client.aio.noun import AsyncNoun
from penstock.client.aio.nouns import (
    AsyncDatasets,
    AsyncEndpoints,
    AsyncExperiments,
    AsyncJobs,
    AsyncModels,
)
from penstock.client.aio.projections import AsyncProjections
from penstock.client.aio.transport import AsyncTransport
from penstock.client.aio.triggers import AsyncTriggers
from penstock.client.aio.worker import AsyncWorker
from penstock.client.changes import Change
from penstock.client.documents import Declaration
from penstock.client.errors import Refused, Unavailable
from penstock.client.files import PositionFile, folder_files, source_files
from penstock.client.matching import server_type, wanted
from penstock.client.records import Published, RecordedEvent
from penstock.client.timing import Deadline

if TYPE_CHECKING:
    from penstock_schemas import Event, ObjectRef, Program

H = TypeVar("H", bound=Handler)
SYSTEM_NAMESPACE = "system"
"""As in the contracts; not imported from there, since that loads pydantic."""
IN_THE_PLURAL = {"namespace": "namespaces"}
"""Nouns whose word is taken for something else: `client.namespace` is the client's own."""


class AsyncClient:
    """A namespace of a platform. A context manager; works without `with` too, then `close()` it.

    `url` is the gateway's address: given here, or by PENSTOCK_URL, or that of the platform which
    `penstock up` runs on this machine. `namespace` defaults to PENSTOCK_NAMESPACE, then `default`;
    `-` reads all of them. `token` is what the platform recognises the caller by, where it asks:
    given here, or by PENSTOCK_TOKEN, or stored by `penstock login`. `transport` is for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        namespace: str | None = None,
        *,
        token: str | None = None,
        patient: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.namespace = namespace or os.environ.get(NAMESPACE_VARIABLE) or DEFAULT_NAMESPACE
        self.transport = AsyncTransport(find_address(url), transport, token, patient=patient)
        self._workers: list[AsyncWorker] = []
        self.event = AsyncEventLog(self)
        self.dataset = AsyncDatasets(self)
        self.features = _plain(self, "features")
        self.experiment = AsyncExperiments(self)
        self.trial = _plain(self, "trial")
        self.job = AsyncJobs(self)
        self.queue = _plain(self, "queue")
        self.node = _plain(self, "node", SYSTEM_NAMESPACE)
        self.plan = _plain(self, "plan", SYSTEM_NAMESPACE)
        self.model = AsyncModels(self)
        self.promotion = _plain(self, "promotion")
        self.endpoint = AsyncEndpoints(self)
        self.rollout = _plain(self, "rollout")
        self.source = AsyncSources(self)
        self.secret = AsyncSecrets(self)
        self.trigger = AsyncTriggers(self)
        self.webhook = _plain(self, "webhook")
        self.subscription = AsyncSubscriptions(self)
        self.namespaces = AsyncNamespaces(self)
        self.member = AsyncMembers(self)
        self.token = AsyncTokens(self)
        self.credential = AsyncCredentials(self)
        self.deadletter = AsyncDeadLetters(self)
        self.projection = AsyncProjections(self)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def things(self, noun: str) -> AsyncNoun:
        """The things of a noun by its word: `client.things("queue")` is `client.queue`."""
        found = getattr(self, IN_THE_PLURAL.get(noun, noun))
        assert isinstance(found, AsyncNoun)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def platform(self) -> dict[str, Any]:
        """Version, addresses, services with their readiness, and the log's last sequence."""
        return dict(await self.transport.get("/v1/platform"))

    async def whoami(self) -> dict[str, Any]:
        """The account that this client acts as, and its `roles` by namespace."""
        return dict(await self.transport.get("/v1/whoami"))

    async def serving_url(self) -> str:
        """The base address of the endpoints."""
        found = self.transport.address.serving_url
        if not found:
            found = (await self.platform()).get("serving_url")
        if not found:
            raise Unavailable("the platform does not say where its endpoints answer")
        return str(found).rstrip("/")

    async def publish(self, event: Event, *, id: str | None = None) -> Published:
        """Append an event; returns once it is durable in the log.

        `id` is the idempotency key: the same one again changes nothing and says `duplicate`.
        Raises `Refused` for facts that a service owns.
        """
        data = event.model_dump(mode="json")
        return await self.event.publish(event.type, data, id=id)

    async def diff(
        self,
        documents: Iterable[Mapping[str, Any] | Event | Declaration],
        *,
        upload: bool = True,
    ) -> list[Change]:
        """What `apply` would change, without changing it. Raises `InvalidDocuments`."""
        return await applying.plan(self, documents, upload=upload)

    async def apply(
        self, documents: Iterable[Mapping[str, Any] | Event | Declaration | Change]
    ) -> list[Change]:
        """Declare things: `client.apply([{"kind": "queue", "name": "research", "cpu_quota": 8}])`.

        Takes documents as mappings, declarative events (`QueueRequested(…)`), what `read_files`
        read, or the changes of a `diff`. What is declared so already is left alone. Raises
        `InvalidDocuments` with every fault, and then nothing is written; what the platform
        refuses is said in the change's `problem`, and does not hold up the others.
        """
        given = list(documents)
        changes = [one for one in given if isinstance(one, Change)]
        rest = [one for one in given if not isinstance(one, Change)]
        return await applying.send(self, [*changes, *await applying.plan(self, rest)])

    async def subscribe(
        self,
        *types: str,
        id: str | None = None,
        after: int | None = None,
        durable: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AsyncGenerator[RecordedEvent, None]:
        """Follow events of `types` (all, where none is named), each once, in order, for ever.

            async for event in client.subscribe("model.promoted"):
                print(event.data.model)

        Types may hold `*` (`job.*`); `id` names one thing. It begins after the sequence `after`
        (0: the whole log), by default with the next event. With `durable`, a name, the position is
        kept in a file on this machine once the loop asks for the next event: after a crash the
        last one may come again, none is missed. Raises `TimedOut` after `timeout_seconds`.
        """
        deadline = Deadline(timeout_seconds)
        kept = PositionFile(state_dir(), self.namespace, durable) if durable else None
        if kept is not None:
            after = kept.read() if after is None else after
        if after is None:
            after = int((await self.platform())["position"])
            if kept is not None:
                kept.write(after)  # a crash before the first event must not lose it
        path = f"/v1/{self.namespace}/event/stream"
        params = {"type": server_type(types)}
        async with aclosing(self.transport.events(path, params, after, deadline)) as stream:
            async for event in stream:
                if wanted(event, types, id):
                    yield event
                    if kept is not None:
                        kept.write(event.sequence)

    async def wait(
        self,
        *types: str,
        id: str | None = None,
        after: int | None = None,
        timeout_seconds: float | None = None,
    ) -> RecordedEvent:
        """The next event of these types about `id`; see `subscribe`. Raises `TimedOut`.

        Give `after` (`Published.sequence`) where it may have happened before this call.
        """
        stream = self.subscribe(*types, id=id, after=after, timeout_seconds=timeout_seconds)
        async for event in stream:
            return event
        raise AssertionError("a stream of events ends by an error alone")

    def on(self, *types: str) -> Callable[[H], H]:
        """Register the decorated function for events of these types; see `run_forever`."""

        def register(handler: H) -> H:
            self._workers.append(AsyncWorker(handler, types))
            return handler

        return register

    async def run_forever(self, durable: str | None = None) -> None:
        """Call the functions registered by `on` with each event, one after another.

        A function that raises is called again with growing pauses; after its last try the error
        ends this call and the event counts as unhandled, so that nothing is skipped unseen. With
        `durable` the position is kept, as in `subscribe`: a function may see an event twice.
        """
        if not self._workers:
            raise Refused("no function is registered", hint='decorate one: @client.on("job.*")')
        types = [type for worker in self._workers for type in worker.types]
        every = () if any(not worker.types for worker in self._workers) else types
        async for event in self.subscribe(*every, durable=durable):
            for worker in self._workers:
                await worker.handle(event)

    async def upload(
        self, path: str | Path, *, progress: Callable[[int], None] | None = None
    ) -> ObjectRef:
        """Store a file, or a folder with all its files; returns once they are durable."""
        path = Path(path)
        if path.is_dir():
            return await self.upload_files(folder_files(path), progress=progress)
        if not path.is_file():
            raise Refused(f"there is no file at {path}")
        return await self._upload_file(path, progress)

    async def upload_files(
        self, files: Mapping[str, Path], *, progress: Callable[[int], None] | None = None
    ) -> ObjectRef:
        """Store files as one folder; the keys are their paths inside of it."""
        entries = [
            {"path": name, "object": (await self._upload_file(path, progress)).model_dump()}
            for name, path in files.items()
        ]
        return _reference(
            await self.transport.post(f"/v1/{self.namespace}/folder", {"files": entries})
        )

    async def download(self, reference: ObjectRef) -> bytes:
        """The bytes of an object of this namespace, verified by the platform."""
        params = reference.model_dump(include={"uri", "digest", "size_bytes"})
        path = f"/v1/{self.namespace}/object"
        return (await self.transport.send("GET", path, params=params)).content

    async def program(
        self, command: Sequence[str], source: str | Path | ObjectRef | None = None
    ) -> Program:
        """A program for a job or an experiment, its source uploaded where it is a path.

        A single file is sent as a folder with that file alone, so that it keeps its name.
        """
        from penstock_schemas import Program  # noqa: PLC0415

        if not isinstance(source, str | Path):
            return Program(command=tuple(command), source=source)
        stored = await self.upload_files(source_files(Path(source)))
        return Program(command=tuple(command), source=stored)

    async def inputs(self, given: Mapping[str, str | Path | ObjectRef]) -> dict[str, ObjectRef]:
        """Inputs for a job or an experiment, uploaded where they are paths."""
        return {
            name: await self.upload(one) if isinstance(one, str | Path) else one
            for name, one in given.items()
        }

    async def _upload_file(self, path: Path, progress: Callable[[int], None] | None) -> ObjectRef:
        answer = await self.transport.send(
            "POST",
            f"/v1/{self.namespace}/object",
            content=lambda: chunks(path, progress or (lambda _: None)),
            headers={"content-type": "application/octet-stream"},
        )
        return _reference(answer.json())


def _reference(raw: Mapping[str, Any]) -> ObjectRef:
    from penstock_schemas import ObjectRef  # noqa: PLC0415

    return ObjectRef.model_validate(raw)


def _plain(client: AsyncClient, noun: str, namespace: str | None = None) -> AsyncNoun:
    """A noun that has no more to it than list, get, find and wait."""
    made = AsyncNoun(client)
    made.noun, made.namespace = noun, namespace
    return made
