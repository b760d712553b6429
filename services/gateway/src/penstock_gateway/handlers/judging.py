"""Taking messages of the log to a book of triggers: live, or over a recorded stretch."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.descent import TriggerKey
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Owed
from penstock_gateway.domain.judging import (
    ALWAYS,
    EVENTS,
    HOLDS,
    ROW,
    Verdict,
    event_variables,
    judge,
)
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.triggers import Material, asks_for
from penstock_gateway.errors import ExpressionError
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_schemas import (
    InvalidEnvelope,
    InvalidSubject,
    SchemaError,
    Subject,
    UnknownType,
    event_class,
    parse_subject,
    read_envelope,
)

CAUSATION_HEADER = "ce-causationid"


class Judging:
    """Feeds one folding, message by message, with what it must know of each."""

    def __init__(
        self,
        folding: Folding,
        compile: Compile,
        rows: RowsAsOf,
        log: EventLog,
        took: Callable[[TriggerKey, float], None] | None = None,
    ) -> None:
        """`took` hears how many seconds a condition took."""
        self._took = took
        self.folding = folding
        self._compile = compile
        self._rows = rows
        self._log = log
        self._recent: Recorded | None = None
        """The last event that was decoded: mostly the one that fires."""

    async def take(self, stored: StoredMessage) -> None:
        """The next message; raises `Unavailable`, and then it may be taken again."""
        book = self.folding.book
        try:
            subject = parse_subject(stored.subject)
            event_class(subject.type)
        except (InvalidSubject, UnknownType):
            self.folding.step(stored.sequence, stored.time, None, None, {})
            return
        recorded = None
        if book.reads(subject.namespace, subject.type):
            with suppress(SchemaError):  # it belongs to the service that owns its type
                recorded = self._recent = read_recorded(stored, subject)
        verdicts = await self._verdicts(recorded) if recorded is not None else {}
        if book.descents.by_event:
            self._descend(stored, subject, recorded)
        self.folding.step(stored.sequence, stored.time, subject.aggregate, recorded, verdicts)

    def _descend(self, stored: StoredMessage, subject: Subject, recorded: Recorded | None) -> None:
        """Note whether the event descends from a firing; few do, so look at the header first."""
        descents = self.folding.book.descents
        if subject.type == "trigger.fired":
            return  # the book does
        if recorded is not None:
            id, causation = recorded.id, recorded.causation_id
        else:
            if CAUSATION_HEADER not in stored.headers:
                return
            try:
                envelope = read_envelope(stored.headers, subject, stored.sequence, stored.time)
            except InvalidEnvelope:
                return
            id, causation = envelope.id, envelope.causation_id
        if causation is not None and descents.follows(causation):
            descents.see(id, causation, subject.aggregate)

    async def _verdicts(self, recorded: Recorded) -> Mapping[str, Verdict]:
        book = self.folding.book
        found: dict[str, Verdict] = {}
        for name in book.wanted(recorded.namespace, recorded.type):
            trigger = book.triggers[recorded.namespace, name]
            declared = trigger.declared
            assert declared is not None
            if declared.when == ALWAYS:
                found[name] = HOLDS
                continue
            begun = time.perf_counter()
            names: frozenset[str] = frozenset()
            with suppress(ExpressionError):  # the judge says what is wrong
                names = self._compile(declared.when).names
            row = await self._rows.of(recorded) if ROW in names else None
            variables = event_variables(recorded, trigger.upcoming, row, names)
            found[name] = judge(declared, variables, self._compile)
            if self._took is not None:
                self._took((recorded.namespace, name), time.perf_counter() - begun)
        return found

    async def material(self, owed: Owed) -> Material:
        """What the templates of a firing are filled from; raises `Unavailable`."""
        members, declared = owed.firing.members, owed.declared
        if owed.kind != "fire" or not members or declared is None:
            return Material()
        last = await self._recorded(members[-1].sequence)
        asked = asks_for(declared, self._compile)
        payloads = []
        if EVENTS in asked:
            for member in members:
                event = (await self._recorded(member.sequence)).event
                payloads.append(event.model_dump(mode="json"))
        row = await self._rows.of(last) if ROW in asked and not owed.firing.by_hand else None
        return Material(last, payloads, row)

    async def _recorded(self, sequence: int) -> Recorded:
        if self._recent is not None and self._recent.sequence == sequence:
            return self._recent
        return read_recorded(await self._log.get(sequence))
