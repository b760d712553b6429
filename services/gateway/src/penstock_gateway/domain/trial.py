"""What a trigger would do: one event (a dry run), or a stretch of the log (a backtest)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Firing
from penstock_gateway.domain.judging import event_variables, gathered_variables, judge
from penstock_gateway.domain.trigger_book import awaited
from penstock_gateway.domain.triggers import Said, Unfit, produce
from penstock_gateway.domain.view import Row, utc_text
from penstock_schemas import (
    Event,
    TriggerFired,
    TriggerFireRequested,
    TriggerRejected,
    TriggerRequested,
    TriggerSkipped,
)

FIRINGS_LISTED_MAX = 1000
"""Firings that a backtest lists, the first; its counts are of all."""
RUN_SECONDS_DEFAULT = 600.0
"""How long what a firing asks for is taken to run in a backtest, where `concurrency` asks."""


def dry_run(
    declared: TriggerRequested, recorded: Recorded, number: int, row: Row | None, compile: Compile
) -> dict[str, Any]:
    """What one event would make of a trigger, but for its timing."""
    answer: dict[str, Any] = {"fires": False, "reason": "", "produces": None}
    by_hand = isinstance(recorded.event, TriggerFireRequested)
    if not by_hand and recorded.type not in awaited(declared):
        on = declared.on if isinstance(declared.on, str) else ", ".join(declared.on)
        return answer | {"reason": f"it waits for {on or 'planned times'}, not {recorded.type}"}
    variables = event_variables(recorded, number, row)
    if not by_hand:
        verdict = judge(declared, variables, compile)
        if verdict.fault is not None:
            field_, reason, fix = verdict.fault
            return answer | {"reason": f"{field_}: {reason} ({fix})"}
        if not verdict.holds:
            return answer | {"reason": verdict.reason}
    try:
        filled = gathered_variables(variables, [variables["event"]], 1)
        event = produce(declared, recorded.namespace, filled, compile)
    except Unfit as unfit:
        return answer | {"reason": f"{unfit.field}: {unfit.reason} ({unfit.fix})"}
    return answer | {"fires": True, "reason": "the condition holds", "produces": document(event)}


def document(event: Event) -> dict[str, Any]:
    """An event as answers show it."""
    return {"type": event.type, "id": event.id, "data": event.model_dump(mode="json")}


@dataclass
class Difference:
    """What a trigger would have said over a stretch of the log, beside what was said."""

    listed: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("fired", "skipped", "refused", "events"), 0)
    )
    real: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Firings that did happen and that nothing here has matched, by what they were for."""
    real_count: int = 0
    by_hand: int = 0
    both: int = 0
    would: set[str] = field(default_factory=set)
    """Firings that nothing real has matched yet."""

    def say(self, said: Said) -> None:
        """It would say this."""
        event = said.events[0]
        kind = {TriggerFired: "fired", TriggerSkipped: "skipped", TriggerRejected: "refused"}[
            type(event)
        ]
        self.counts[kind] += 1
        entry: dict[str, Any] = {
            "outcome": kind,
            "due": utc_text(said.firing.due),
            "cause": said.cause.id,
            "cause_type": said.cause.type,
            "cause_sequence": said.firing.through or None,
            "count": said.firing.count,
        }
        if said.firing.planned is not None:
            entry["planned"] = utc_text(said.firing.planned)
        if isinstance(event, TriggerFired):
            self._would(_mark(said.firing, said.cause.id))
            entry |= {"number": event.number, "produces": document(said.events[-1])}
            if len(said.events) > 2:
                entry["cancels"] = [one.id for one in said.events[1:-1]]
        elif isinstance(event, TriggerRejected):
            entry["reason"] = f"{event.field}: {event.reason}"
        elif isinstance(event, TriggerSkipped):
            entry["reason"] = event.reason
        if len(self.listed) < FIRINGS_LISTED_MAX:
            self.listed.append(entry)

    def happened(self, recorded: Recorded) -> None:
        """This firing did happen."""
        event = recorded.event
        assert isinstance(event, TriggerFired)
        if event.cause_type == TriggerFireRequested.type:
            self.by_hand += 1
            return
        self.real_count += 1
        mark = utc_text(event.planned) if event.planned else event.cause
        if mark in self.would:
            self.would.remove(mark)
            self.both += 1
            return
        self.real[mark] = {
            "number": event.number,
            "sequence": recorded.sequence,
            "time": utc_text(recorded.time),
            "cause": event.cause,
            "cause_type": event.cause_type,
            "produced_type": event.produced_type,
            "produced_id": event.produced_id,
        }

    def _would(self, mark: str) -> None:
        if self.real.pop(mark, None) is not None:
            self.both += 1
        else:
            self.would.add(mark)

    def answer(self) -> dict[str, Any]:
        """The whole as the API writes it."""
        for entry in self.listed:
            if entry["outcome"] == "fired":
                mark = entry.get("planned") or entry["cause"]
                entry["did_happen"] = mark not in self.would
        missed: Sequence[Mapping[str, Any]] = list(self.real.values())
        return {
            "events": self.counts["events"],
            "would_fire": self.counts["fired"],
            "would_skip": self.counts["skipped"],
            "would_refuse": self.counts["refused"],
            "did_fire": self.real_count,
            "did_fire_by_hand": self.by_hand,
            "difference": {
                "both": self.both,
                "only_would": len(self.would),
                "only_did": len(self.real),
            },
            "firings": self.listed,
            "only_did": missed[:FIRINGS_LISTED_MAX],
            "complete": max(sum(self.counts.values()) - self.counts["events"], len(missed))
            <= FIRINGS_LISTED_MAX,
        }


def _mark(firing: Firing, cause: str) -> str:
    return utc_text(firing.planned) if firing.planned else cause
