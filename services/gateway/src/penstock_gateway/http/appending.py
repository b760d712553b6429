"""Appending over HTTP: durable when answered, and the same request twice has one effect."""

import asyncio
from collections.abc import Sequence

from penstock_chassis.errors import Conflict, Unavailable
from penstock_chassis.message import Draft, read_recorded, to_message
from penstock_chassis.ports import Appended, Guard, Message, StoredMessage
from penstock_gateway.http.context import SOURCE, Context
from penstock_gateway.http.preconditions import WHATEVER, Precondition
from penstock_gateway.http.problems import Problem
from penstock_schemas import Event, SchemaError, new_id

TRIES_MAX = 4
"""How often an append is sent where no answer comes; each carries the same id."""
PAUSE_SECONDS = 0.1
CONFLICTS_MAX = 20


async def append_once(
    context: Context,
    event: Event,
    namespace: str,
    id: str,
    *,
    precondition: Precondition = WHATEVER,
    source: str = SOURCE,
    traceparent: str | None = None,
    whatever_stands: bool = False,
) -> Appended:
    """Append an event under `id` unless its aggregate has one of that id, for ever.

    An event of that id is looked for first: who sends a request again that took effect is told
    so, whatever its precondition says by now. Raises `Problem` where the precondition does not
    hold (412) and, unless `whatever_stands` will do, where the id stands for another event (422),
    and `Unavailable` where no answer came; the same call again is safe.
    """
    aggregate = event.aggregate(namespace)
    log = context.ports.log
    for _ in range(CONFLICTS_MAX):
        head = await log.head([aggregate.filter])
        if head:
            for stored in await log.read(str(event.subject(namespace))):
                if stored.headers.get("ce-id") == id:
                    if whatever_stands:
                        return Appended(stored.sequence, duplicate=True)
                    return _repeated(event, stored)
        precondition.check(str(aggregate), head, await log.head(["penstock.>"]) if head else 0)
        guard = Guard(aggregate.filter, head)
        message = _message(context, event, namespace, id, source, guard, traceparent)
        try:
            appended = await _insist(context, [message])
        except Conflict:  # somebody appended to the same thing in between: look again
            continue
        if appended.duplicate and not whatever_stands:
            return _repeated(event, await log.get(appended.sequence))
        return appended
    raise Unavailable("others write to the same thing without pause; try again")


def _repeated(event: Event, stored: StoredMessage) -> Appended:
    """Tell who repeats a request that it took effect; refuse another request of the same key."""
    try:
        same = read_recorded(stored).event == event
    except SchemaError:
        same = False
    if not same:
        raise Problem(
            422,
            "this key was used for a request with another body",
            field="idempotency-key",
            hint="send the same body again, or use a new key for a new request",
            sequence=stored.sequence,
        )
    return Appended(stored.sequence, duplicate=True)


async def append_firsts(
    context: Context, events: Sequence[tuple[Event, str]], namespace: str, source: str
) -> list[Appended]:
    """Append events, each under its id as the first of its aggregate: all that are not there yet,
    or none. Whatever stands at an aggregate makes its event a duplicate.

    Raises `Unavailable` where no answer came; the same call again is safe.
    """
    filters = [event.aggregate(namespace).filter for event, _ in events]
    stands: dict[str, Appended] = {}
    for _ in range(CONFLICTS_MAX):
        fresh: dict[str, Message] = {}
        for filter, (event, id) in zip(filters, events, strict=True):
            if filter not in stands and filter not in fresh:
                guard = Guard(filter, 0)
                fresh[filter] = _message(context, event, namespace, id, source, guard, None)
        if not fresh:
            break
        try:
            appended = await _insist(context, list(fresh.values()))
            surely = len(fresh) == 1 or not appended.duplicate
        except Conflict:
            surely = False
        if not surely:  # some of them stand already: look which; then the rest, once more
            for filter in fresh:
                for stored in await context.ports.log.read(filter, limit=1):
                    stands[filter] = Appended(stored.sequence, duplicate=True)
            continue
        first = appended.sequence - len(fresh) + 1  # a batch is contiguous
        for number, filter in enumerate(fresh):
            stands[filter] = Appended(first + number, appended.duplicate)
    if len(stands) < len(set(filters)):
        raise Unavailable("others write to the same things without pause; try again")
    return [stands[filter] for filter in filters]


async def append_together(
    context: Context, events: Sequence[tuple[Event, int]], namespace: str, source: str
) -> tuple[str, Appended]:
    """Append events in one atomic batch, each where its aggregate has not changed since a sequence.

    The id of the first, and where the last of them stands. Raises `Conflict` where an aggregate
    has changed, and `Unavailable` where no answer came.
    """
    messages = [
        _message(
            *(context, event, namespace, new_id(), source),
            Guard(event.aggregate(namespace).filter, head),
            None,
        )
        for event, head in events
    ]
    return messages[0].headers["ce-id"], await _insist(context, messages)


async def append_new(
    context: Context,
    event: Event,
    namespace: str,
    id: str,
    *,
    source: str = SOURCE,
    traceparent: str | None = None,
) -> Appended:
    """Append an event under a fresh id."""
    message = _message(context, event, namespace, id, source, None, traceparent)
    return await _insist(context, [message])


def _message(
    context: Context,
    event: Event,
    namespace: str,
    id: str,
    source: str,
    guard: Guard | None,
    traceparent: str | None,
) -> Message:
    return to_message(
        Draft(event, namespace),
        source=source,
        cause=None,
        id=id,
        now=context.ports.clock.now(),
        guard=guard,
        traceparent=traceparent,
    )


async def _insist(context: Context, messages: Sequence[Message]) -> Appended:
    for tried in range(1, TRIES_MAX + 1):
        try:
            return await context.ports.log.append(messages)
        except Unavailable:
            if tried == TRIES_MAX:
                raise
            await asyncio.sleep(PAUSE_SECONDS * 2**tried)
    raise AssertionError("the loop returns or raises")
