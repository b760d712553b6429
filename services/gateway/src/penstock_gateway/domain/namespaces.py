"""A namespace as a document says it, read from the events of it and its members. Pure.

Members are told one by one (`member.*`), whichever way they came; so what stands is what they say,
and a document that was written before somebody was added by hand differs from it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_gateway.domain.declared import Declared
from penstock_schemas import Event, MemberAdded, MemberRemoved, NamespaceConfigured


@dataclass
class NamespaceState:
    """What the log says of one namespace."""

    name: str
    description: str = ""
    members: dict[str, str] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    """The sequence of the last event of each aggregate, by its id: members, and itself."""
    last: Recorded | None = None

    @property
    def declared(self) -> Declared | None:
        """The document that would change nothing; None where nothing was ever said."""
        if self.last is None:
            return None
        event = NamespaceConfigured(
            namespace=self.name, description=self.description, members=self.members
        )
        return Declared(event, self.last.id, self.last.sequence)

    def head_of(self, event: Event) -> int:
        """The sequence of the last event of the thing that an event is about, 0 for none."""
        return self.heads.get(_key(event), 0)


def fold_namespace(name: str, recorded: Iterable[Recorded]) -> NamespaceState:
    """The namespace after these events of it and its members, in their order."""
    state = NamespaceState(name)
    for one in recorded:
        match one.event:
            case NamespaceConfigured():
                state.description = one.event.description
            case MemberAdded():
                state.members[one.event.member] = one.event.role
            case MemberRemoved():
                state.members.pop(one.event.member, None)
            case _:
                continue
        state.heads[_key(one.event)] = one.sequence
        state.last = one
    return state


def changes(standing: Mapping[str, str], wanted: NamespaceConfigured, by: str) -> list[Event]:
    """The events that make a namespace what a document says: its own first."""
    added = [
        MemberAdded.model_validate({"member": member, "role": role, "by": by})
        for member, role in wanted.members.items()
        if standing.get(member) != role
    ]
    removed = [
        MemberRemoved(member=member, by=by) for member in standing if member not in wanted.members
    ]
    return [wanted, *added, *removed]


def _key(event: Event) -> str:
    return f"{event.noun()}.{event.id}"
