"""What must hold of any log of jobs, whatever was killed while it was written.

Pure: a list of events as the API shows them, in order, to a list of violations in words.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Event = dict[str, Any]

JOB_ENDS = frozenset({"job.succeeded", "job.cancelled", "job.rejected"})
TRIAL_ENDS = frozenset({"trial.completed", "trial.failed", "trial.pruned"})


def violations(events: Sequence[Event]) -> list[str]:
    """Everything that was lost, done twice, or done out of place."""
    return [
        *_twice(events, "two events have the id", (e["id"] for e in events)),
        *_twice(events, "started twice", _attempts(events, "job.started")),
        *_twice(events, "placed twice", _attempts(events, "job.placed")),
        *_answered(events, "job.requested", [e for e in events if _ends_job(e)]),
        *_answered(events, "trial.started", [e for e in events if e["type"] in TRIAL_ENDS]),
        *_answered(events, "experiment.requested", _of(events, "experiment.completed")),
        *_answered(events, "rollout.started", _of(events, "rollout.completed")),
        *_answered(events, "promotion.requested", [], ends=_promotions(events)),
        *_overlaps(events),
    ]


def _of(events: Iterable[Event], type: str) -> list[Event]:
    return [event for event in events if event["type"] == type]


def _key(event: Event) -> tuple[str, str]:
    return event["namespace"], event["subject_id"]


def _attempts(events: Iterable[Event], type: str) -> list[tuple[Any, ...]]:
    return [(*_key(event), event["data"]["attempt"]) for event in _of(events, type)]


def _ends_job(event: Event) -> bool:
    return event["type"] in JOB_ENDS or (event["type"] == "job.failed" and event["data"]["final"])


def _promotions(events: Sequence[Event]) -> list[tuple[str, str]]:
    refused = [_key(event) for event in _of(events, "promotion.refused")]
    promoted = _of(events, "model.promoted")
    return refused + [(event["namespace"], event["data"]["promotion"]) for event in promoted]


def _twice(events: Sequence[Event], words: str, keys: Iterable[Any]) -> list[str]:
    return [f"{words}: {key}" for key, count in Counter(keys).items() if count > 1]


def _answered(
    events: Sequence[Event],
    wish: str,
    answers: Sequence[Event],
    *,
    ends: Sequence[tuple[str, str]] | None = None,
) -> list[str]:
    counted = Counter(map(_key, answers) if ends is None else ends)
    asked = {_key(event) for event in _of(events, wish)}
    return [f"{wish} {key} ended {counted[key]} times" for key in asked if counted[key] != 1]


def _overlaps(events: Sequence[Event]) -> list[str]:
    """A job whose next attempt started before the last one had ended."""
    running: dict[tuple[str, str], int] = {}
    found = []
    for event in events:
        key = _key(event)
        if event["type"] == "job.started":
            if key in running:
                found.append(f"job {key}: an attempt started while attempt {running[key]} ran")
            running[key] = event["data"]["attempt"]
        elif event["type"] in JOB_ENDS or event["type"] == "job.failed":
            running.pop(key, None)
    return found
