"""Why each trigger did or did not fire for an event: the log is judged again, and listened to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from penstock_chassis.message import Recorded, read_recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.descent import TriggerKey
from penstock_gateway.domain.endings import ENDINGS
from penstock_gateway.domain.expressions import Compile
from penstock_gateway.domain.firing import Firing
from penstock_gateway.domain.trigger_book import NOUN, TriggerBook, awaited
from penstock_gateway.domain.trigger_checks import fault_of
from penstock_gateway.domain.trigger_folding import Folding
from penstock_gateway.domain.view import View
from penstock_gateway.errors import HistoryTooLong
from penstock_gateway.handlers.judging import Judging
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_schemas import SchemaError, TriggerRequested, filter_of

EXPLAIN_SECONDS_MAX = 60.0
FILTERS_MAX = 32


class Explanation:
    """Listens to what becomes of one event, trigger by trigger."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.heard: dict[str, list[str]] = {}
        self.keys: dict[str, set[str]] = {}

    def listen(self, key: TriggerKey, firing: Firing, text: str, _: str) -> None:
        """See `Listener`."""
        name = key[1]
        if any(member.sequence == self.sequence for member in firing.members):
            self.keys.setdefault(name, set()).add(firing.key)
        elif firing.key not in self.keys.get(name, ()):
            return
        said = self.heard.setdefault(name, [])
        if not said or said[-1] != text:
            said.append(text)


async def explain(
    log: EventLog, views: Mapping[str, View], compile: Compile, event: Recorded
) -> dict[str, Any]:
    """For each trigger that there was by then: whether it fired for the event, and why.

    Raises `HistoryTooLong` where reading what the triggers waited for takes too long.
    """
    book = TriggerBook()
    heard = Explanation(event.sequence)
    folding = Folding(book, partial(fault_of, compile=compile), compile, heard.listen)
    judging = Judging(folding, compile, RowsAsOf(log, views), log)
    filters = await _filters(log, event)
    head = await log.head(filters)
    standing: dict[str, str] = {}
    try:
        async with asyncio.timeout(EXPLAIN_SECONDS_MAX):
            following = log.follow(filters)
            async with aclosing(cast("AsyncGenerator[StoredMessage, None]", following)) as messages:
                async for stored in messages:
                    if stored.sequence > event.sequence and not standing:
                        standing = _standing(book, event)
                    if stored.sequence > head:
                        break
                    if stored.sequence == event.sequence:
                        standing = _standing(book, event)
                    await judging.take(stored)
                    if stored.sequence == head:
                        break
    except TimeoutError:
        raise HistoryTooLong(
            f"what the triggers waited for took longer than {EXPLAIN_SECONDS_MAX:.0f} s to read"
        ) from None
    items = []
    for (namespace, name), trigger in sorted(book.triggers.items()):
        # One that was deleted since was there by then.
        if namespace != event.namespace or (trigger.declared is None and name not in standing):
            continue
        said = heard.heard.get(name) or [standing.get(name, "it was declared later")]
        fired = any(text.startswith("fired") for text in said)
        items.append({"trigger": name, "fired": fired, "why": said})
    return {"event": {"sequence": event.sequence, "type": event.type}, "items": items}


def _standing(book: TriggerBook, event: Recorded) -> dict[str, str]:
    """What keeps triggers from judging the event at all, as they stand before it."""
    found = {}
    for (namespace, name), trigger in book.triggers.items():
        declared = trigger.declared
        if namespace != event.namespace or declared is None:
            continue
        if event.type not in awaited(declared):
            on = declared.on if isinstance(declared.on, str) else ", ".join(declared.on)
            found[name] = f"it waits for {on or 'planned times'}, not {event.type}"
        elif trigger.paused:
            found[name] = "it was paused"
        else:
            found[name] = "it judged the event"
    return found


async def _filters(log: EventLog, event: Recorded) -> list[str]:
    """What the triggers of the namespace ever waited for, and what is said of them."""
    types: dict[str, None] = {event.type: None}
    for stored in await log.read(filter_of(event.namespace, TriggerRequested.type)):
        try:
            declared = read_recorded(stored).event
        except SchemaError:
            continue
        assert isinstance(declared, TriggerRequested)
        types |= dict.fromkeys(awaited(declared))
        if declared.concurrency is not None:
            types |= dict.fromkeys(ENDINGS.get(declared.do.type, ()))
    others = [type for type in types if type.partition(".")[0] != NOUN]
    if len(others) >= FILTERS_MAX:
        return [filter_of(event.namespace)]
    everything = [filter_of(event.namespace, type) for type in others]
    return [filter_of(event.namespace, f"{NOUN}.*"), *everything]
