"""What an attempt says while it runs and when it is over: its metrics and its output."""

import asyncio
import json

import structlog

from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import Telemetry
from penstock_trainer.ports import AttemptId, Launcher

LOG_LIVE_BYTES_MAX = 4 * 1024**2
"""How much of the beginning of an output is published as it comes."""
LOG_END_BYTES_MAX = 64 * 1024
"""How much of the end of a longer one follows when it is over."""
LOG_PIECE_BYTES_MAX = 64 * 1024
LOG_TAIL_BYTES_MAX = 8 * 1024
"""How much of the end stands in `job.failed`."""
TRIES_MAX = 5
TRY_PAUSE_SECONDS = 0.2

log = structlog.get_logger("penstock.trainer")


class Reporting:
    """Publishes one attempt's reports; remembers how far it came.

    A report's id is its line number, and a piece of output says where it lies, so that what a
    trainer that starts anew repeats is recognised by the readers.
    """

    def __init__(self, attempt: AttemptId, launcher: Launcher, telemetry: Telemetry) -> None:
        self._attempt = attempt
        self._launcher = launcher
        self._telemetry = telemetry
        self._offset = 0
        self._line = 0
        self._log_offset = 0

    async def live(self) -> None:
        """Publish what came since; raises `Unavailable`, then call again."""
        await self._metrics()
        while self._log_offset < LOG_LIVE_BYTES_MAX:
            if not await self._log_piece(ended=False):
                return

    async def _metrics(self) -> None:
        while True:
            page = await self._launcher.metrics(self._attempt, self._offset)
            for number, line in enumerate(page.lines, start=self._line):
                payload: dict[str, object] = {
                    "attempt": self._attempt.attempt,
                    "step": line.step,
                    "time": line.time,
                    "metrics": dict(line.metrics),
                }
                await self._publish("metric", payload, str(number))
            self._line += len(page.lines)
            if page.next_offset == self._offset:
                return
            self._offset = page.next_offset

    async def end(self) -> str:
        """Publish the last metrics and the rest of the output; the output's tail.

        Telemetry that stays unavailable is given up: it must not keep a job from ending.
        """
        tail, size_bytes = await self._tail()
        for tried in range(TRIES_MAX):
            try:
                await self.live()
                self._log_offset = max(self._log_offset, size_bytes - LOG_END_BYTES_MAX)
                while await self._log_piece(ended=True):
                    pass
                break
            except Unavailable as error:
                log.warning("telemetry", attempt=str(self._attempt), error=str(error))
                await asyncio.sleep(TRY_PAUSE_SECONDS * 2**tried)
        return tail.decode(errors="replace")

    async def _tail(self) -> tuple[bytes, int]:
        """The end of the output, and its size in bytes."""
        data, offset = b"", 0
        while (page := await self._launcher.log(self._attempt, offset)).next_offset > offset:
            offset = page.next_offset
            data = (data + page.data)[-LOG_TAIL_BYTES_MAX:]
        return data, offset

    async def _log_piece(self, *, ended: bool) -> bool:
        """Publish the next piece, whole lines while there may come more. False: there is none."""
        page = await self._launcher.log(self._attempt, self._log_offset)
        piece = page.data[:LOG_PIECE_BYTES_MAX]
        if len(piece) < LOG_PIECE_BYTES_MAX and not ended:
            piece = piece[: piece.rfind(b"\n") + 1]
        if not piece:
            return False
        payload: dict[str, object] = {
            "attempt": self._attempt.attempt,
            "rank": 0,
            "offset": self._log_offset,
            "bytes": len(piece),
            "text": piece.decode(errors="replace"),
        }
        await self._publish("log", payload, f"log-{self._log_offset}-{len(piece)}")
        self._log_offset += len(piece)
        return True

    async def _publish(self, kind: str, payload: dict[str, object], part: str) -> None:
        of = self._attempt
        await self._telemetry.publish(
            f"telemetry.{of.namespace}.job.{kind}.{of.job}",
            json.dumps(payload).encode(),
            f"{of.namespace}:{of.job}:{of.attempt}:0:{part}",
        )
