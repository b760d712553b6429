"""One worker process as the front sees it: born, ready, answering, lost."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock_serving.adapters.frames import FrameProtocol, Kind, encode_frame
from penstock_serving.adapters.worker_template import WorkerTemplate
from penstock_serving.errors import StartFailed

END_GRACE_SECONDS = 5.0
"""A worker whose stream ended gets so long to go by itself."""


class WorkerLink:
    """The stream to one worker and the handle to end it. Use once: `launch`, then until `lost`.

    The process handle is a pidfd where the kernel has it, so that a signal can never hit another
    process that got the same id, and so that death is seen even if some grandchild keeps the
    worker's socket open.
    """

    def __init__(self, template: WorkerTemplate, on_results: Callable[[Any], None]) -> None:
        self._template = template
        self._on_results = on_results
        self._loop = asyncio.get_running_loop()
        self._stream = FrameProtocol(self._on_frame, self._on_lost)
        self._ready: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._pidfd: int | None = None
        self.pid: int | None = None
        self.lost = asyncio.Event()
        self._exited = asyncio.Event()

    async def launch(self, model_dir: Path, load_seconds: float) -> dict[str, Any]:
        """Fork a worker and wait until it is warm; returns what its READY frame says.

        Raises `StartFailed`; then the worker is gone.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            await self._loop.create_unix_connection(lambda: self._stream, sock=ours)
            try:
                self._template.fork(model_dir, theirs)
            except StartFailed:
                self.kill()
                raise
        try:
            return await asyncio.wait_for(self._ready, load_seconds)
        except TimeoutError as error:
            raise StartFailed(f"the model did not load within {load_seconds:g} s") from error
        finally:
            if self._ready.cancelled() or self._ready.exception() is not None:
                self.kill()

    def send_batch(self, body: dict[str, Any]) -> None:
        """Send one batch; its results come to `on_results`, or the worker is lost."""
        self._stream.send(encode_frame(Kind.BATCH, body))

    def kill(self) -> None:
        """End the worker now. Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self.pid is not None and not self._exited.is_set():
                os.kill(self.pid, signal.SIGKILL)
        self._stream.close()

    async def end(self) -> None:
        """Tell an idle worker to end by closing the stream; kill it after a grace."""
        self._stream.close()
        try:
            await asyncio.wait_for(self._exited.wait(), END_GRACE_SECONDS)
        except TimeoutError:
            self.kill()
            await self.lost.wait()

    def _on_frame(self, kind: Kind, body: Any) -> None:
        if kind is Kind.RESULTS:
            self._on_results(body)
        elif kind is Kind.BORN:
            self._adopt(body["pid"])
        elif kind is Kind.READY and not self._ready.done():
            self._ready.set_result(body)
        elif kind is Kind.FAILED and not self._ready.done():
            self._ready.set_exception(StartFailed(str(body["reason"])))

    def _adopt(self, pid: int) -> None:
        self.pid = pid
        if not hasattr(os, "pidfd_open"):
            return
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # dead already
            self._on_exit()
        else:
            self._loop.add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._exited.set()
        self._stream.close()

    def _on_lost(self) -> None:
        if not self._ready.done():
            self._ready.set_exception(
                StartFailed(
                    "the worker died while it loaded the model (out of memory, or a crash in"
                    f" native code); {self._template.fate()}"
                )
            )
        self.lost.set()
        if self._pidfd is None:
            self._exited.set()
        else:  # it may have closed its stream and hang
            self._loop.call_later(END_GRACE_SECONDS, self.kill)
