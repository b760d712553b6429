"""What must hold of any log, as checks that raise `AssertionError` naming the events at fault."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from penstock_chassis.message import Recorded
from penstock_schemas import Event

Kind = str | type[Event]


def no_duplicate_ids(log: Sequence[Recorded]) -> None:
    """No two events have one id: nothing was appended twice under its id."""
    counts = Counter(item.id for item in log)
    twice = [item for item in log if counts[item.id] > 1]
    assert not twice, f"ids that occur twice: {_listed(twice)}"


def facts_once(log: Sequence[Recorded], *types: Kind, field: str | None = None) -> None:
    """At most one event of each type per aggregate (and per value of `field`, e.g. `attempt`)."""
    for type in map(_name, types):
        facts = [item for item in log if item.type == type]
        counts = Counter(_identity(item, field) for item in facts)
        twice = [item for item in facts if counts[_identity(item, field)] > 1]
        assert not twice, f"{type} more than once: {_listed(twice)}"


def wishes_answered(log: Sequence[Recorded], wish: Kind, *answers: Kind) -> None:
    """After every `wish` its aggregate has exactly one event among `answers`."""
    wanted = set(map(_name, answers))
    found: dict[object, list[Recorded]] = defaultdict(list)
    for item in log:
        if item.type in wanted:
            found[item.aggregate].append(item)
    for item in log:
        if item.type != _name(wish):
            continue
        after = [answer for answer in found[item.aggregate] if answer.sequence > item.sequence]
        assert len(after) == 1, (
            f"{item.type} of {item.aggregate} (sequence {item.sequence}) has {len(after)} answers "
            f"among {sorted(wanted)}: {_listed(after)}"
        )


def causes_known(log: Sequence[Recorded]) -> None:
    """Every event that names a cause comes after it in the log."""
    seen: set[str] = set()
    for item in log:
        assert item.causation_id is None or item.causation_id in seen, (
            f"{item.type} of {item.aggregate} (sequence {item.sequence}) names the cause "
            f"{item.causation_id}, which does not stand before it"
        )
        seen.add(item.id)


def _name(kind: Kind) -> str:
    return kind if isinstance(kind, str) else kind.type


def _identity(item: Recorded, field: str | None) -> tuple[object, object]:
    return item.aggregate, getattr(item.event, field) if field else None


def _listed(log: Iterable[Recorded]) -> str:
    return "; ".join(f"{item.sequence} {item.type} {item.event.id} id={item.id}" for item in log)
