"""One durable consumer on the server: made, looked at, and made again where it was lost.

Somebody may delete a consumer while its service runs, or a restored server may lack it. What was
acknowledged is then known from the last look at the server's own acknowledgement floor: a fact
about every process that shares the consumer, and about what its handlers put off. A consumer made
again begins right above it, so that nothing is skipped; what was acknowledged since that look
comes again. A process that starts after the loss knows no floor and begins at the start.
"""

from typing import Any

import structlog
from nats.aio.client import Client

from penstock_chassis.adapters.nats.connection import call
from penstock_chassis.adapters.nats.streams import SECOND
from penstock_chassis.errors import Conflict, NotFound, Unavailable
from penstock_chassis.ports import ConsumerSpec

MAKE_TRIES_MAX = 5
"""Others may make and delete the consumer between two of our requests."""

log = structlog.get_logger("penstock.nats")


class DurableConsumer:
    """The consumer of a spec in one stream."""

    def __init__(self, client: Client, stream: str, spec: ConsumerSpec) -> None:
        self.spec = spec
        self.stream = stream
        self._client = client
        self._acknowledged = 0
        """Every message of the consumer up to this sequence was acknowledged, when last seen."""

    async def make(self) -> None:
        """Make it, or bring it to the spec, keeping its position. Raises `Unavailable`, or
        `ChassisError` with the server's words; `NotFound` where the stream is not there."""
        for _ in range(MAKE_TRIES_MAX):
            try:
                present = await self._info()
            except NotFound:
                begin, action = self._begin(), "create"
            else:
                self._note(present)
                begin, action = _begun(present["config"]), "update"
            try:
                await self._put(self._config() | begin, action)
            except Conflict:
                continue  # another process made it first, perhaps from another place
            except NotFound:
                if action == "create":
                    raise
                continue
            return
        raise Unavailable(f"consumer {self.spec.name} is made and deleted again and again")

    async def keep(self) -> bool:
        """Look at it; whether it was not there and had to be made again. Raises as `make`."""
        try:
            present = await self._info()
        except NotFound:
            present = None
        if present is not None:
            self._note(present)
            return False
        log.error(
            "durable consumer lost, making it again",
            consumer=self.spec.name,
            stream=self.stream,
            after_sequence=self._acknowledged,
        )
        await self.make()
        return True

    def _note(self, present: dict[str, Any]) -> None:
        self._acknowledged = int(present["ack_floor"]["stream_seq"])

    def _begin(self) -> dict[str, Any]:
        if not self._acknowledged:
            return {"deliver_policy": "all"}
        return {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._acknowledged + 1,
        }

    def _config(self) -> dict[str, Any]:
        return {
            "durable_name": self.spec.name,
            "name": self.spec.name,
            "ack_policy": "explicit",
            "ack_wait": int(self.spec.lease_seconds * SECOND),
            "max_ack_pending": self.spec.in_flight_max,
            "max_deliver": -1,  # the consumer loop counts, and stores a dead letter first
            "filter_subjects": list(self.spec.filters),
        }

    async def _put(self, config: dict[str, Any], action: str) -> None:
        await call(
            self._client,
            f"CONSUMER.CREATE.{self.stream}.{self.spec.name}",
            {"stream_name": self.stream, "config": config, "action": action},
        )

    async def _info(self) -> dict[str, Any]:
        return await call(self._client, f"CONSUMER.INFO.{self.stream}.{self.spec.name}")


def _begun(config: dict[str, Any]) -> dict[str, Any]:
    """Where an existing consumer began: the server refuses to change it."""
    names = ("deliver_policy", "opt_start_seq", "opt_start_time")
    return {name: config[name] for name in names if name in config}
