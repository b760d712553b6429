"""Folding the log into the book of triggers, in its order.

`step` takes one message after another. Each event is judged once, by the definition that stands
when its turn in the log comes; whoever folds the same log finds the same firings owed. What is
owed leaves the book when the log says it (`trigger.fired`, `trigger.skipped`,
`trigger.rejected`), so that nothing is owed twice, whatever crashes. No cause is kept for ever:
the order of the log is the guard.
"""

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime

from penstock_chassis.message import Recorded
from penstock_gateway.domain.cron import next_planned
from penstock_gateway.domain.descent import TriggerKey
from penstock_gateway.domain.endings import ENDING_TYPES, ends
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Fault, Firing, Member, Owed, member_of
from penstock_gateway.domain.judging import Verdict, judge, planned_variables
from penstock_gateway.domain.timing import (
    Note,
    advance,
    arrive,
    consume,
    end,
    silent,
)
from penstock_gateway.domain.trigger_book import NOUN, Trigger, TriggerBook, awaited
from penstock_schemas import (
    ADMIN,
    Aggregate,
    TriggerDeleted,
    TriggerFired,
    TriggerFireRequested,
    TriggerPauseRequested,
    TriggerRejected,
    TriggerRequested,
    TriggerResumeRequested,
    TriggerSkipped,
    role_to_send,
)

Listener = Callable[[TriggerKey, Firing, str, str], None]
"""Hears what becomes of firings, as a `Note` does."""
Check = Callable[[TriggerBook, str, TriggerRequested], Fault | None]
"""What is wrong with a declaration, as the book stands."""


class Folding:
    """Folds messages into a book. `listen` hears what becomes of events."""

    def __init__(
        self,
        book: TriggerBook,
        check: Check,
        compile: Compile,
        listen: Listener | None = None,
    ) -> None:
        self.book = book
        self._check = check
        self._compile = compile
        self._listen = listen

    def step(
        self,
        sequence: int,
        time: datetime,
        aggregate: Aggregate | None,
        recorded: Recorded | None,
        verdicts: Mapping[str, Verdict],
    ) -> None:
        """Take the next message. `recorded` where it is readable and `book.reads` it;
        `verdicts` by name for those in `book.wanted`."""
        book = self.book
        self.advance(time)
        book.position = sequence
        if aggregate is not None and aggregate.noun == NOUN:
            self._trigger(aggregate.namespace, aggregate.id).head = sequence
        if recorded is None:
            return
        if recorded.type in ENDING_TYPES:
            self._end(recorded)
        for name, verdict in verdicts.items():
            self._judge(recorded, name, verdict)
        if recorded.event.noun() == NOUN:
            self._own(recorded)

    def advance(self, now: datetime) -> None:
        """Do what is due at or before `now`, in the order of time."""
        book = self.book
        if book.time is None or now > book.time:
            book.time = now
        while (due := book.next_deadline()) is not None and due <= now:
            _, key = heapq.heappop(book.timers)
            trigger = book.triggers[key]
            assert trigger.declared is not None
            before = tuple(trigger.timing.running)
            advance(trigger.timing, trigger.declared, due, self._note(key))
            for run in before:
                if run not in trigger.timing.running:
                    book.forget_run(key, run)
            if trigger.next_planned is not None and trigger.next_planned <= due:
                self._plan(key, trigger, due)
            self._changed(key)

    def _plan(self, key: TriggerKey, trigger: Trigger, planned: datetime) -> None:
        declared = trigger.declared
        assert declared is not None
        assert declared.cron is not None
        trigger.next_planned = next_planned(declared.cron, planned)
        firing = Firing(planned, planned=planned)
        variables = planned_variables(key[0], planned, trigger.upcoming)
        self._decided(key, trigger, firing, judge(declared, variables, self._compile))

    def _judge(self, recorded: Recorded, name: str, verdict: Verdict) -> None:
        key = (recorded.namespace, name)
        trigger = self.book.triggers[key]
        if trigger.declared is None or trigger.paused:
            return
        firing = Firing(recorded.time, (member_of(recorded),))
        self._decided(key, trigger, firing, verdict)
        self._changed(key)

    def _decided(self, key: TriggerKey, trigger: Trigger, firing: Firing, verdict: Verdict) -> None:
        assert trigger.declared is not None
        if verdict.fault is not None:
            trigger.timing.owed.append(Owed(firing, "refuse", fault=verdict.fault))
            self._note(key)(firing, f"refused: {verdict.fault[1]}", "failed")
        elif verdict.holds:
            arrive(trigger.timing, trigger.declared, firing, self._note(key))
        else:
            self._note(key)(firing, verdict.reason)

    def _end(self, recorded: Recorded) -> None:
        run = f"{recorded.event.noun()}/{recorded.event.id}"
        if (recorded.namespace, run) not in self.book.runs or not ends(recorded.event):
            return
        for name in self.book.runs.pop((recorded.namespace, run)):
            key = (recorded.namespace, name)
            trigger = self.book.triggers[key]
            if trigger.declared is not None:
                end(trigger.timing, trigger.declared, run, recorded.time, self._note(key))
                self._changed(key)

    def _own(self, recorded: Recorded) -> None:
        event = recorded.event
        key = (recorded.namespace, event.id)
        trigger = self._trigger(*key)
        if isinstance(event, TriggerRequested):
            self._declare(key, trigger, recorded, event)
        elif isinstance(event, TriggerPauseRequested | TriggerResumeRequested):
            self._pause(key, trigger, recorded, isinstance(event, TriggerPauseRequested))
        elif isinstance(event, TriggerDeleted):
            self._delete(key, trigger)
        elif isinstance(event, TriggerFireRequested):
            firing = Firing(recorded.time, (member_of(recorded),))
            if trigger.declared is None:
                trigger.timing.owed.append(_absent(firing, event.id))
            elif role_to_send(trigger.declared) == ADMIN and not event.by_admin:
                trigger.timing.owed.append(_not_by_admin(firing, trigger.declared))
            else:
                arrive(trigger.timing, trigger.declared, firing, self._note(key))
        else:
            self._said(key, trigger, recorded)
        self._changed(key)

    def _declare(
        self, key: TriggerKey, trigger: Trigger, recorded: Recorded, event: TriggerRequested
    ) -> None:
        fault = self._check(self.book, key[0], event)
        if fault is not None:
            firing = Firing(recorded.time, (member_of(recorded),))
            trigger.timing.owed.append(Owed(firing, "refuse", fault=fault))
            return
        self._wait(key, trigger.declared, False)
        trigger.declared = event
        trigger.request, trigger.sequence = recorded.id, recorded.sequence
        trigger.correlation_id = recorded.correlation_id
        trigger.timing.forget()
        self._wait(key, event, True)
        self._pause(key, trigger, recorded, event.paused)

    def _delete(self, key: TriggerKey, trigger: Trigger) -> None:
        """Nothing is left but where it was: whoever appends about the name again guards by that."""
        self._wait(key, trigger.declared, False)
        timing, note = trigger.timing, self._note(key)
        for run in timing.running:
            self.book.forget_run(key, run)
        for firing in timing.pending():
            note(firing, "dropped: the trigger was deleted")
        self.book.triggers[key] = Trigger(head=trigger.head)

    def _wait(self, key: TriggerKey, declared: TriggerRequested | None, on: bool) -> None:
        namespace, name = key
        for type in awaited(declared) if declared else ():
            names = self.book.waiting.setdefault((namespace, type), {})
            names.pop(name, None)
            if on:
                names[name] = None
            elif not names:
                del self.book.waiting[namespace, type]

    def _pause(self, key: TriggerKey, trigger: Trigger, recorded: Recorded, paused: bool) -> None:
        declared = trigger.declared
        if declared is None:
            firing = Firing(recorded.time, (member_of(recorded),))
            trigger.timing.owed.append(_absent(firing, key[1]))
            return
        trigger.paused = paused
        trigger.next_planned = None
        if paused:
            trigger.timing.forget()
        elif declared.cron is not None:
            trigger.timing.planned_from = recorded.time
            trigger.next_planned = next_planned(declared.cron, recorded.time)

    def _said(self, key: TriggerKey, trigger: Trigger, recorded: Recorded) -> None:
        """The gateway said something: it is owed no more."""
        event = recorded.event
        assert isinstance(event, TriggerFired | TriggerSkipped | TriggerRejected)
        cause = event.request if isinstance(event, TriggerRejected) else event.cause
        fired = isinstance(event, TriggerFired)
        said = _said_firing(event, cause, recorded.time)
        rules = trigger.declared
        consume(trigger.timing, rules, said, cause, fired, self._note(key))
        if isinstance(event, TriggerFired):
            trigger.number += 1
            produced = Aggregate(key[0], event.produced_type.partition(".")[0], event.produced_id)
            causes = (*event.causes, event.cause)
            self.book.descents.fire(key, recorded.id, recorded.correlation_id, causes, produced)
            if rules is not None and rules.concurrency is not None:
                self._run(key, trigger, f"{produced.noun}/{produced.id}", recorded.time)
        if self._listen is not None:
            self._listen(key, said, *_outcome(event))
        if rules is not None:
            end(trigger.timing, rules, "", recorded.time, self._note(key))
            planned = trigger.timing.planned_from
            if trigger.next_planned and planned and planned >= trigger.next_planned:
                assert rules.cron is not None
                trigger.next_planned = next_planned(rules.cron, planned)

    def _run(self, key: TriggerKey, trigger: Trigger, run: str, time: datetime) -> None:
        declared = trigger.declared
        assert declared is not None
        assert declared.concurrency is not None
        if declared.concurrency.policy == "replace":
            for former in trigger.timing.running:
                self.book.forget_run(key, former)
            trigger.timing.running.clear()
        trigger.timing.running[run] = time
        trigger.timing.silenced = False
        self.book.runs.setdefault((key[0], run), {})[key[1]] = None

    def _trigger(self, namespace: str, name: str) -> Trigger:
        return self.book.triggers.setdefault((namespace, name), Trigger())

    def _changed(self, key: TriggerKey) -> None:
        trigger = self.book.triggers[key]
        if trigger.timing.owed:
            self.book.owing[key] = None
        else:
            self.book.owing.pop(key, None)
        due = trigger.deadline()
        if due is not None:
            heapq.heappush(self.book.timers, (due, key))

    def _note(self, key: TriggerKey) -> Note:
        if self._listen is None:
            return silent
        listen = self._listen

        def note(firing: Firing, text: str, outcome: str = "", /) -> None:
            listen(key, firing, text, outcome)

        return note


def _said_firing(
    event: TriggerFired | TriggerSkipped | TriggerRejected, cause: str, time: datetime
) -> Firing:
    due = event.due if isinstance(event, TriggerFired) and event.due else time
    type = "" if isinstance(event, TriggerRejected) else event.cause_type
    members = (Member(event.through, cause, type, ""),) if event.through else ()
    return Firing(due, members, planned=event.planned)


def _outcome(event: TriggerFired | TriggerSkipped | TriggerRejected) -> tuple[str, str]:
    """For a person, and for a machine (what timing skips it has noted already)."""
    if isinstance(event, TriggerFired):
        produced = f"{event.produced_type} {event.produced_id}"
        return f"fired (number {event.number}): {produced}", "fired"
    if isinstance(event, TriggerSkipped):
        kind = event.kind if event.kind in ("loop", "missed") else ""
        return f"skipped ({event.kind}): {event.reason}", kind
    return f"refused: {event.field}: {event.reason}", "refused"


def _absent(firing: Firing, name: str) -> Owed:
    fault = ("trigger", f"there is no trigger {name!r}", "declare it with trigger.requested")
    return Owed(firing, "refuse", fault=fault)


def _not_by_admin(firing: Firing, declared: TriggerRequested) -> Owed:
    """Whoever fires it by hand words the `event` that its templates see."""
    problem = f"only an admin may have {declared.do.type} sent"
    fault = ("by_admin", problem, "let an admin of the namespace fire it, through the API")
    return Owed(firing, "refuse", fault=fault)
