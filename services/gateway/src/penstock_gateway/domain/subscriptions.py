"""Subscriptions as the log declares them, and the answers to what is asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from penstock_chassis.message import Recorded
from penstock_gateway.domain.outbox import ENTRIES_MAX, REPLAYS_MAX
from penstock_gateway.domain.outgoing import OURS, SECRET_HEADERS, split
from penstock_gateway.domain.reach import Reach
from penstock_schemas import (
    Event,
    SecretDeleted,
    SecretSet,
    SubscriptionConfigured,
    SubscriptionDisabled,
    SubscriptionRejected,
    SubscriptionRemoved,
    SubscriptionRemoveRequested,
    SubscriptionReplayed,
    SubscriptionReplayRequested,
    SubscriptionRequested,
    SubscriptionSpec,
    SubscriptionUndelivered,
    event_types,
)

SUBSCRIPTIONS_MAX = 100
"""Live subscriptions of one namespace."""
PORTS = {"http": 80, "https": 443}
NETWORKS_FIX = "PENSTOCK_GATEWAY_SUBSCRIPTION_NETWORKS names the networks that may be reached"

Key = tuple[str, str]
"""Namespace and name."""
Wish = SubscriptionRequested | SubscriptionReplayRequested | SubscriptionRemoveRequested


class Fault(NamedTuple):
    """What is wrong with a wish: the field, why, and what to do."""

    field: str
    reason: str
    fix: str


@dataclass
class Live:
    """A subscription that is neither disabled nor removed."""

    spec: SubscriptionConfigured
    epoch: int
    """The sequence of the wish that began it: what comes after it is sent."""
    changed: int
    """The sequence of the last event that changed how it sends."""
    replays: list[tuple[int, SubscriptionReplayed]] = field(default_factory=list)
    """The newest, each with its sequence."""
    given_up: dict[str, None] = field(default_factory=dict)
    """Ids of the events that were given up, the newest last."""


@dataclass
class SubscriptionBook:
    """What the gateway knows of subscriptions."""

    live: dict[Key, Live] = field(default_factory=dict)
    waiting: dict[Key, dict[str, int]] = field(default_factory=dict)
    """Ids of wishes that were not answered yet, with their sequences."""
    secrets: set[Key] = field(default_factory=set)


def evolve(book: SubscriptionBook, recorded: Recorded) -> SubscriptionBook:
    """The book after an event; changes it in place."""
    event, namespace = recorded.event, recorded.namespace
    if isinstance(event, SecretSet):
        book.secrets.add((namespace, event.secret))
        return book
    if isinstance(event, SecretDeleted):
        book.secrets.discard((namespace, event.secret))
        return book
    key = (namespace, event.id)
    if isinstance(event, Wish):
        book.waiting.setdefault(key, {})[recorded.id] = recorded.sequence
    wished = _answered(book, key, getattr(event, "request", ""))
    if isinstance(event, SubscriptionConfigured):
        standing = book.live.get(key)
        if standing is None:
            book.live[key] = Live(event, wished or recorded.sequence, recorded.sequence)
        else:
            standing.spec, standing.changed = event, recorded.sequence
    elif isinstance(event, SubscriptionDisabled | SubscriptionRemoved):
        book.live.pop(key, None)
    elif key in book.live:
        _evolve_live(book.live[key], recorded)
    return book


def _answered(book: SubscriptionBook, key: Key, request: str) -> int:
    """Take a wish as answered; its sequence, 0 where it is not known."""
    waiting = book.waiting.get(key, {})
    sequence = waiting.pop(request, 0)
    if not waiting:
        book.waiting.pop(key, None)
    return sequence


def _evolve_live(live: Live, recorded: Recorded) -> None:
    event = recorded.event
    if isinstance(event, SubscriptionReplayed):
        live.replays = [*live.replays, (recorded.sequence, event)][-REPLAYS_MAX:]
    elif isinstance(event, SubscriptionUndelivered):
        live.given_up[event.event] = None
        if len(live.given_up) > ENTRIES_MAX:
            del live.given_up[next(iter(live.given_up))]


def decide_wish(book: SubscriptionBook, recorded: Recorded, reach: Reach) -> Sequence[Event]:
    """Answer what was asked, once."""
    event = recorded.event
    assert isinstance(event, Wish)
    key = (recorded.namespace, event.subscription)
    if recorded.id not in book.waiting.get(key, ()):
        return ()
    fault = fault_of(book, recorded.namespace, event, reach)
    if fault is not None:
        return (
            SubscriptionRejected(
                subscription=event.subscription,
                request=recorded.id,
                reason=fault.reason,
                field=fault.field,
                fix=fault.fix,
            ),
        )
    return (_answer(event, recorded),)


def _answer(event: Wish, recorded: Recorded) -> Event:
    name, request = event.subscription, recorded.id
    if isinstance(event, SubscriptionRequested):
        spec = {field: getattr(event, field) for field in SubscriptionSpec.model_fields}
        return SubscriptionConfigured(subscription=name, request=request, **spec)
    if isinstance(event, SubscriptionReplayRequested):
        until = min(event.until or recorded.sequence, recorded.sequence)
        return SubscriptionReplayed(
            subscription=name, request=request, after=event.after, since=event.since, until=until
        )
    return SubscriptionRemoved(subscription=name, request=request, reason=event.reason)


def decide_disabled(
    book: SubscriptionBook, key: Key, epoch: int, reason: str, after: int
) -> Sequence[Event]:
    """Disable a subscription, unless that was done, or it was begun anew meanwhile."""
    live = book.live.get(key)
    if live is None or live.epoch != epoch:
        return ()
    return (SubscriptionDisabled(subscription=key[1], reason=reason, after=after),)


def decide_undelivered(
    book: SubscriptionBook, key: Key, recorded: Recorded, attempts: int, reason: str
) -> Sequence[Event]:
    """Say that an event was given up, once."""
    live = book.live.get(key)
    if live is None or recorded.id in live.given_up:
        return ()
    return (
        SubscriptionUndelivered(
            subscription=key[1],
            event=recorded.id,
            event_type=recorded.type,
            sequence=recorded.sequence,
            attempts=attempts,
            reason=reason,
        ),
    )


def fault_of(book: SubscriptionBook, namespace: str, event: Wish, reach: Reach) -> Fault | None:
    """What keeps a wish from being granted, if anything does."""
    key = (namespace, event.subscription)
    if not isinstance(event, SubscriptionRequested):
        if key not in book.live:
            reason = f"there is no subscription {event.subscription!r} that sends"
            return Fault("subscription", reason, "penstock subscription ls")
        return None
    if key not in book.live:
        standing = sum(space == namespace for space, _ in book.live)
        if standing >= SUBSCRIPTIONS_MAX:
            reason = f"the namespace has {standing} subscriptions, as many as it may have"
            return Fault("subscription", reason, "remove one that is not needed")
    if (namespace, event.secret) not in book.secrets:
        reason = f"there is no secret {event.secret!r} to sign with"
        return Fault("secret", reason, f"penstock secret set {event.secret}")
    return _types_fault(event) or _headers_fault(event) or url_fault(event.url, reach)


def _types_fault(event: SubscriptionSpec) -> Fault | None:
    known = event_types()
    nouns = {type.partition(".")[0] for type in known}
    for pattern in event.types:
        noun, verb = split(pattern)
        if noun not in nouns | {"*"}:
            return Fault("types", f"there is no noun {noun!r}", f"one of: {sorted(nouns)}")
        if "*" not in (noun, verb) and f"{noun}.{verb}" not in known:
            verbs = sorted(type for type in known if type.startswith(f"{noun}."))
            return Fault("types", f"there is no event {pattern}", f"one of: {', '.join(verbs)}")
    return None


def _headers_fault(event: SubscriptionSpec) -> Fault | None:
    for name in event.headers:
        if name.lower() in OURS:
            return Fault(f"headers.{name}", "the platform sets this header", "leave it out")
        if name.lower() in SECRET_HEADERS:
            reason = "its value would stand in the log, for all to read"
            return Fault(f"headers.{name}", reason, "have the receiver verify the signature")
    return None


def url_fault(url: str, reach: Reach) -> Fault | None:
    """What is wrong with the address; where a name leads is seen when it is used."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return Fault("url", "the URL has characters that no URL has", "percent-encode them")
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        return Fault("url", str(error), "write https://host/path")
    if parts.scheme not in PORTS or not parts.hostname:
        return Fault("url", "it is not a URL of the web", "write https://host/path")
    return _parts_fault(parts, parts.hostname, port, reach)


def _parts_fault(parts: SplitResult, host: str, port: int, reach: Reach) -> Fault | None:
    plain = parts.scheme == "http"
    if parts.username is not None or parts.password is not None:
        reason = "a name and password would stand in the log, for all to read"
        return Fault("url", reason, "have the receiver verify the signature")
    if parts.fragment:
        return Fault("url", "a fragment is never sent", "leave out what stands behind #")
    if plain and not reach.networks:
        reason = "without TLS the events can be read and changed on their way"
        return Fault("url", reason, f"write https://; for a network of yours: {NETWORKS_FIX}")
    refusal = reach.refusal(host, port, plain=plain) if _is_address(host) else ""
    return Fault("url", refusal, NETWORKS_FIX) if refusal else None


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
