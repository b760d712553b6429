"""What an attempt says while it runs and when it is over: metrics, the end of its log."""

import asyncio
import json

import structlog

from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import Telemetry
from penstock_trainer.ports import AttemptId, Launcher

LOG_BYTES_MAX = 64 * 1024
"""How much of the end of a log is published."""
LOG_TAIL_BYTES_MAX = 8 * 1024
"""How much of it stands in `job.failed`."""
TRIES_MAX = 5
TRY_PAUSE_SECONDS = 0.2

log = structlog.get_logger("penstock.trainer")


class Reporting:
    """Publishes one attempt's reports; remembers how far it came.

    A report's id is its line number, so a trainer that starts anew repeats none of them.
    """

    def __init__(self, attempt: AttemptId, launcher: Launcher, telemetry: Telemetry) -> None:
        self._attempt = attempt
        self._launcher = launcher
        self._telemetry = telemetry
        self._offset = 0
        self._line = 0

    async def metrics(self) -> None:
        """Publish what was reported since; raises `Unavailable`, then call again."""
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
        """Publish the last metrics and the end of the log; the log's tail.

        Telemetry that stays unavailable is given up: it must not keep a job from ending.
        """
        data = bytearray()
        offset = 0
        while (page := await self._launcher.log(self._attempt, offset)).next_offset > offset:
            offset = page.next_offset
            data = (data + page.data)[-LOG_BYTES_MAX:]
        for tried in range(TRIES_MAX):
            try:
                await self.metrics()
                if data:
                    tail: dict[str, object] = {
                        "attempt": self._attempt.attempt,
                        "rank": 0,
                        "offset": offset - len(data),
                        "text": data.decode(errors="replace"),
                    }
                    await self._publish("log", tail, "log")
                break
            except Unavailable as error:
                log.warning("telemetry", attempt=str(self._attempt), error=str(error))
                await asyncio.sleep(TRY_PAUSE_SECONDS * 2**tried)
        return bytes(data[-LOG_TAIL_BYTES_MAX:]).decode(errors="replace")

    async def _publish(self, kind: str, payload: dict[str, object], part: str) -> None:
        of = self._attempt
        await self._telemetry.publish(
            f"telemetry.{of.namespace}.job.{kind}.{of.job}",
            json.dumps(payload).encode(),
            f"{of.namespace}:{of.job}:{of.attempt}:0:{part}",
        )
