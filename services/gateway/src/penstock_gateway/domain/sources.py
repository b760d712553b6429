"""Sources of webhooks as the log declares them, and the answer to a declaration.

Beside them stands when each secret last changed: what was read from the store holds until then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_gateway.domain.schemes import SCHEMES
from penstock_gateway.domain.schemes.scheme import Fault
from penstock_schemas import (
    Event,
    SecretDeleted,
    SecretSet,
    SourceConfigured,
    SourceOptions,
    SourceRejected,
    SourceRequested,
    SourceSpec,
)

Key = tuple[str, str]
"""Namespace and name."""
DEFAULTS = SourceOptions()


@dataclass
class SourceBook:
    """What the gateway knows of sources and of secrets, never a value."""

    sources: dict[Key, SourceConfigured] = field(default_factory=dict)
    waiting: dict[Key, list[str]] = field(default_factory=dict)
    """Ids of declarations that were not answered yet."""
    secrets: dict[Key, int] = field(default_factory=dict)
    """The sequence of the last change of each secret that is there."""


def evolve(book: SourceBook, recorded: Recorded) -> SourceBook:
    """The book after an event; changes it in place."""
    event, namespace = recorded.event, recorded.namespace
    if isinstance(event, SourceRequested):
        book.waiting.setdefault((namespace, event.source), []).append(recorded.id)
    elif isinstance(event, SourceConfigured | SourceRejected):
        key = (namespace, event.source)
        waiting = [id for id in book.waiting.pop(key, []) if id != event.request]
        if waiting:
            book.waiting[key] = waiting
        if isinstance(event, SourceConfigured):
            book.sources[key] = event
    elif isinstance(event, SecretSet):
        book.secrets[namespace, event.secret] = recorded.sequence
    elif isinstance(event, SecretDeleted):
        book.secrets.pop((namespace, event.secret), None)
    return book


def decide_requested(book: SourceBook, recorded: Recorded) -> Sequence[Event]:
    """Answer a declaration, once."""
    event = recorded.event
    assert isinstance(event, SourceRequested)
    if recorded.id not in book.waiting.get((recorded.namespace, event.source), ()):
        return ()
    fault = fault_of(event)
    if fault is not None:
        at, reason, fix = fault
        return (
            SourceRejected(
                source=event.source, request=recorded.id, reason=reason, field=at, fix=fix
            ),
        )
    spec = {name: getattr(event, name) for name in SourceSpec.model_fields}
    path = f"/v1/webhooks/{recorded.namespace}/{event.source}"
    return (SourceConfigured(source=event.source, request=recorded.id, path=path, **spec),)


def fault_of(spec: SourceSpec) -> Fault | None:
    """What keeps a source from working, if anything does."""
    scheme = SCHEMES.get(spec.scheme)
    if scheme is None:
        return "scheme", f"there is no scheme {spec.scheme!r}", f"one of: {', '.join(SCHEMES)}"
    for option in SourceOptions.model_fields:
        given = getattr(spec.options, option) != getattr(DEFAULTS, option)
        if given and option not in scheme.takes:
            takes = ", ".join(sorted(scheme.takes)) or "no options"
            reason = f"the scheme {scheme.name} has no option {option}"
            return f"options.{option}", reason, f"it takes: {takes}"
    return scheme.check(spec)
