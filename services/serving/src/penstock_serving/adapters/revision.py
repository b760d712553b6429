"""One revision on this host: a queue, a worker that is kept alive, and batches between them.

Batching: one batch is in flight at a time; when it returns, all that has queued meanwhile (up to
`max_batch_rows`) goes next. No request ever waits for a batch to fill.

Death of the worker: inference is pure, so what was in flight is put back at the head of the
queue and asked again of the next worker; the client sees nothing but the delay. A request that
was in flight at a death goes alone from then on, so that poison input harms no other request,
and after `replays` more deaths it is answered with an error.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import chain
from typing import Any

from penstock_serving.adapters.model_folder import read_signature
from penstock_serving.adapters.worker_link import WorkerLink
from penstock_serving.adapters.worker_template import WorkerTemplate
from penstock_serving.errors import (
    InferenceFailed,
    InvalidModel,
    Overloaded,
    ServingError,
    StartFailed,
    Unavailable,
)
from penstock_serving.oip.request import InferRequest
from penstock_serving.oip.signature import Signature
from penstock_serving.ports import Outputs, Phase, RevisionSpec, RevisionStatus
from penstock_serving.routing import TAKES_REQUESTS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The bounds of one revision's worker."""

    load_seconds: float = 120.0
    batch_seconds: float = 30.0
    drain_seconds: float = 30.0
    max_batch_rows: int = 256
    max_waiting_requests: int = 4096
    max_waiting_bytes: int = 256 * 1024 * 1024
    replays: int = 2
    reload_attempts: int = 3
    """So many failed reloads in a row and waiting requests are refused (reloading goes on)."""
    backoff_seconds: float = 0.2
    max_backoff_seconds: float = 30.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that was taken and not yet answered."""

    request: InferRequest
    size_bytes: int
    answer: "asyncio.Future[Outputs]"
    deaths: int = 0


class Revision:
    """A live revision; implements the port `Target`."""

    def __init__(
        self,
        spec: RevisionSpec,
        template: WorkerTemplate,
        limits: WorkerLimits,
    ) -> None:
        self.spec = spec
        self._signature: Signature | None = None
        self.phase = Phase.LOADING
        self._template = template
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._waiting_bytes = 0
        self._link: WorkerLink | None = None
        self._batch_timer: asyncio.TimerHandle | None = None
        self._hung = False
        self._answered = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled = asyncio.Event()
        self._reason: str | None = None
        self._restarts = 0
        self._hello: dict[str, Any] = {}
        self._supervisor = self._loop.create_task(
            self._supervise(), name=f"revision {spec.revision_id}"
        )
        self._supervisor.add_done_callback(self._on_supervisor_end)

    # -- control ---------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether a worker is there to answer now."""
        return self.phase is Phase.READY

    @property
    def signature(self) -> Signature:
        """What the model takes and gives; known before the revision takes its first request."""
        assert self._signature is not None
        return self._signature

    @property
    def never_started(self) -> bool:
        """Whether the first start failed for good; only a new `Revision` tries again."""
        return self.phase is Phase.FAILED and not self._hello

    async def started(self) -> None:
        """Wait until the first worker is warm; raises `StartFailed` with the reason."""
        await self._settled.wait()
        if self.phase not in TAKES_REQUESTS:
            raise StartFailed(f"revision {self.spec.revision_id}: {self._reason}")

    async def end(self) -> None:
        """Answer what was taken, then end the worker. New requests are refused at once."""
        self.phase = Phase.DRAINING
        self._reason = self._reason or "stopped while it loaded"
        if self._hello:
            try:
                await asyncio.wait_for(self._idle.wait(), self._limits.drain_seconds)
            except TimeoutError:
                self._refuse_all(Unavailable("the revision was stopped; ask again"))
        self._settled.set()
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)
        self._refuse_all(Unavailable("the revision was stopped; ask again"))

    def status(self) -> RevisionStatus:
        """A snapshot for `HostState`."""
        return RevisionStatus(
            spec=self.spec,
            phase=self.phase,
            reason=self._reason,
            restarts=self._restarts,
            waiting=len(self._queue) + len(self._in_flight),
            start_seconds=self._hello.get("start_seconds"),
            rss_bytes=self._hello.get("rss_bytes"),
            notes=tuple(self._hello.get("notes", ())),
            worker_pid=self._link.pid if self._link else None,
        )

    # -- requests --------------------------------------------------------------------------------

    def submit(self, request: InferRequest, size_bytes: int) -> "asyncio.Future[Outputs]":
        """Queue a request; see `Target.submit`."""
        if self.phase not in TAKES_REQUESTS:
            raise Unavailable(f"revision {self.spec.revision} is {self.phase}")
        waiting = len(self._queue) + len(self._in_flight)
        if (
            waiting >= self._limits.max_waiting_requests
            or self._waiting_bytes + size_bytes > self._limits.max_waiting_bytes
        ):
            raise Overloaded(
                f"{waiting} requests ({self._waiting_bytes} bytes) wait for revision"
                f" {self.spec.revision}; at most {self._limits.max_waiting_requests}"
                f" ({self._limits.max_waiting_bytes} bytes) may"
            )
        entry = _Waiting(request, size_bytes, self._loop.create_future())
        self._waiting_bytes += size_bytes
        self._queue.append(entry)
        self._idle.clear()
        self._pump()
        return entry.answer

    def _pump(self) -> None:
        if self._in_flight or self._link is None:
            return
        batch = self._next_batch()
        if not batch:
            if not self._queue:
                self._idle.set()
            return
        self._in_flight = batch
        requests = [entry.request for entry in batch]
        columns = requests[0].columns
        if len(requests) > 1:
            by_column = zip(*(request.columns for request in requests), strict=True)
            columns = [list(chain.from_iterable(parts)) for parts in by_column]
        self._batch_timer = self._loop.call_later(self._limits.batch_seconds, self._on_hang)
        self._link.send_batch(
            {
                "columns": columns,
                "rows": [request.rows for request in requests],
                "outputs": [request.outputs for request in requests],
            }
        )

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        rows = 0
        while self._queue:
            entry = self._queue[0]
            if entry.answer.done():  # withdrawn
                self._forget(self._queue.popleft())
                continue
            rows += entry.request.rows
            if batch and (entry.deaths or rows > self._limits.max_batch_rows):
                break
            batch.append(self._queue.popleft())
            if entry.deaths:
                break
        return batch

    def _on_results(self, results: list[dict[str, Any]]) -> None:
        if len(results) != len(self._in_flight) or not all(
            isinstance(result, dict) and ("error" in result or "outputs" in result)
            for result in results
        ):  # a model's code wrote into its own link
            if self._link is not None:
                self._link.kill()
            return
        batch, self._in_flight = self._in_flight, []
        self._stop_timer()
        self._answered = True
        for entry, result in zip(batch, results, strict=True):
            self._forget(entry)
            if entry.answer.done():
                continue
            if "error" in result:
                entry.answer.set_exception(InferenceFailed(str(result["error"])))
            else:
                entry.answer.set_result(result["outputs"])
        self._pump()

    def _refuse(self, entry: _Waiting, error: ServingError) -> None:
        self._forget(entry)
        if not entry.answer.done():
            entry.answer.set_exception(error)

    def _refuse_all(self, error: ServingError) -> None:
        entries, self._in_flight = [*self._in_flight, *self._queue], []
        self._queue.clear()
        for entry in entries:
            self._refuse(entry, error)
        self._idle.set()

    def _forget(self, entry: _Waiting) -> None:
        self._waiting_bytes -= entry.size_bytes

    # -- the worker's life -----------------------------------------------------------------------

    async def _supervise(self) -> None:
        failures = 0
        try:
            while True:
                link = WorkerLink(self._template, self._on_results)
                try:
                    self._signature = self._signature or read_signature(self.spec.model_dir)
                    hello = await link.launch(self.spec.model_dir, self._limits.load_seconds)
                except (InvalidModel, StartFailed) as error:
                    failures += 1
                    if self._on_start_failure(error.reason, failures):
                        return
                else:
                    self._on_ready(link, hello)
                    await link.lost.wait()
                    failures = 0 if self._answered else failures + 1
                    self._on_death()
                if failures:
                    doubled = self._limits.backoff_seconds * 2 ** (failures - 1)
                    await asyncio.sleep(min(doubled, self._limits.max_backoff_seconds))
        finally:
            self._stop_timer()
            if self._link is not None:
                link, self._link = self._link, None
                await link.end()

    def _on_supervisor_end(self, task: "asyncio.Task[None]") -> None:
        # A defect of ours must not leave clients and starters waiting for ever.
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("revision %s: defect", self.spec.revision_id, exc_info=error)
            self.phase = Phase.FAILED
            self._reason = f"internal error: {error!r}"
            self._refuse_all(Unavailable(self._reason))
            self._settled.set()

    def _on_ready(self, link: WorkerLink, hello: dict[str, Any]) -> None:
        for note in hello["notes"]:
            logger.warning("revision %s: %s", self.spec.revision_id, note)
        self._hello = hello
        self._link = link
        self._answered = False
        self._reason = None
        if self.phase is not Phase.DRAINING:
            self.phase = Phase.READY
        self._settled.set()
        self._pump()

    def _on_start_failure(self, reason: str, failures: int) -> bool:
        """Returns whether this was the first start, which is not tried again."""
        logger.error("revision %s does not start: %s", self.spec.revision_id, reason)
        self._reason = reason
        first = not self._hello
        if first or failures >= self._limits.reload_attempts:
            if self.phase is not Phase.DRAINING:
                self.phase = Phase.FAILED
            self._refuse_all(Unavailable(f"the model does not load again: {reason}"))
            self._settled.set()
        return first

    def _on_death(self) -> None:
        self._link = None
        self._restarts += 1
        self._stop_timer()
        hung, self._hung = self._hung, False
        batch, self._in_flight = self._in_flight, []
        logger.warning(
            "revision %s: the worker died with %d requests in flight; they are asked again",
            self.spec.revision_id,
            len(batch),
        )
        if self.phase is not Phase.DRAINING:
            self.phase = Phase.RESTARTING
        self._reason = "the worker died and is being restarted"
        for entry in reversed(batch):
            entry.deaths += 1
            if hung and len(batch) == 1:
                seconds = self._limits.batch_seconds
                self._refuse(entry, InferenceFailed(f"the model gave no answer in {seconds:g} s"))
            elif entry.deaths > self._limits.replays:
                self._refuse(
                    entry,
                    InferenceFailed(
                        f"the model's process died {entry.deaths} times while it had this input;"
                        " it is not tried again"
                    ),
                )
            else:
                self._queue.appendleft(entry)
        if not self._queue:
            self._idle.set()

    def _on_hang(self) -> None:
        self._hung = True
        if self._link is not None:
            self._link.kill()

    def _stop_timer(self) -> None:
        if self._batch_timer is not None:
            self._batch_timer.cancel()
            self._batch_timer = None
