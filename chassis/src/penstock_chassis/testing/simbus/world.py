"""A simulated world: what is durable and outlives every service, and the ports onto it."""

import asyncio
import hashlib
import random
from collections.abc import Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from penstock_chassis.ports import DeadLetter, Message, Ports, StoredMessage
from penstock_chassis.testing.loop import SimClock
from penstock_chassis.testing.simbus.consumers import SimConsumer, SimConsumers
from penstock_chassis.testing.simbus.crashable import Crashable
from penstock_chassis.testing.simbus.faults import NO_FAULTS, CrashPlan, Faults
from penstock_chassis.testing.simbus.incarnation import Incarnation, Trace
from penstock_chassis.testing.simbus.kv import SimBucket, SimKeyValues
from penstock_chassis.testing.simbus.log import SimEventLog, append_to
from penstock_chassis.testing.simbus.objects import SimObjectStore
from penstock_chassis.testing.simbus.sidestreams import SimDeadLetters, SimTelemetry
from penstock_chassis.testing.simbus.stream import SimStream

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SimPorts(Ports):
    """The ports of one incarnation."""

    incarnation: Incarnation
    world: "SimWorld"

    def crashable(self, port: T) -> T:
        """A port object of the service's own, with crash points at its public async methods."""
        return self.world.crashable(port, self.incarnation)


class SimWorld:
    """Everything durable, the faults, and the randomness behind them.

    Make the world's own actors (a fake cluster, a fake process launcher) once a world, start
    their tasks with `spawn`, and hand them to services through `crashable`.
    """

    def __init__(self, seed: int = 0, faults: Faults = NO_FAULTS) -> None:
        self.seed = seed
        self.faults = faults
        self.trace = Trace()
        self.events = SimStream("EVENTS")
        self.telemetry = SimStream("TELEMETRY")
        self.dead_letter_stream = SimStream("DEADLETTER")
        self.dead_letters: dict[int, DeadLetter] = {}
        """By position."""
        self.consumers: dict[str, SimConsumer] = {}
        self.buckets: dict[str, SimBucket] = {}
        self.objects: dict[str, bytes] = {}
        """By URI."""
        self.incarnations: list[Incarnation] = []
        self._chance = random.Random(f"faults of seed {seed}")

    def start(self, name: str, plan: CrashPlan | None = None) -> Incarnation:
        """A new life of a service, perhaps with its end planned."""
        number = 1 + sum(earlier.name == name for earlier in self.incarnations)
        incarnation = Incarnation(
            name, number, faults=self.faults, chance=self._chance, trace=self.trace, plan=plan
        )
        self.incarnations.append(incarnation)
        return incarnation

    def ports(self, incarnation: Incarnation | str = "test") -> SimPorts:
        """The ports of an incarnation, or of a new one by this name."""
        life = self.start(incarnation) if isinstance(incarnation, str) else incarnation
        return SimPorts(
            log=SimEventLog(self.events, life),
            consumers=SimConsumers(self.events, self.consumers, self._chance, life),
            kv=SimKeyValues(self.buckets, life),
            objects=SimObjectStore(self.objects, life),
            telemetry=SimTelemetry(self.telemetry, life),
            dead_letters=SimDeadLetters(self.dead_letter_stream, self.dead_letters, life),
            clock=SimClock(),
            incarnation=life,
            world=self,
        )

    def crashable(self, port: T, incarnation: Incarnation) -> T:
        """See `Crashable`."""
        return cast(T, Crashable(port, incarnation))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task that belongs to the world: no crash of a service ends it."""
        return asyncio.get_running_loop().create_task(work, context=Context())

    def append(self, *messages: Message) -> None:
        """Append as a client whom no fault reaches. Raises `Conflict`."""
        append_to(self.events, messages)

    def stored(self, filters: Sequence[str] = (">",)) -> list[StoredMessage]:
        """What stands in the event log."""
        return self.events.all_after(filters)

    @property
    def activity(self) -> tuple[int, ...]:
        """Grows with everything that counts as something happening (reading and polling do not)."""
        return (
            self.events.last,
            self.telemetry.last,
            self.dead_letter_stream.last,
            sum(consumer.delivered_total for consumer in self.consumers.values()),
        )

    def busy(self) -> list[str]:
        """Which consumers have messages that are not acknowledged, and how many."""
        return [
            f"consumer {name} has {consumer.pending} messages not acknowledged"
            for name, consumer in self.consumers.items()
            if not consumer.idle
        ]

    def digest(self) -> str:
        """A digest of the schedule and of the log: equal for equal runs."""
        hasher = hashlib.sha256()
        for line in self.trace.lines:
            hasher.update(repr(line).encode())
        for message in self.stored():
            content = (message.subject, message.payload, sorted(message.headers.items()))
            hasher.update(repr((content, message.sequence, message.time)).encode())
        return hasher.hexdigest()
