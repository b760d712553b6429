"""Which role it takes to send a wish: who sets quotas decides over others, and who opens a door to
the outside, in or out, over what all of the namespace have.

A trigger sends what it was declared to send, so declaring it takes what sending that takes. Only
what a declaration says in plain words counts: what a template makes of itself is judged when it
is made, and must take no more than the declaration did.
"""

from collections.abc import Mapping
from typing import Any

from penstock_schemas.event import ADMIN, Event, event_types
from penstock_schemas.nouns.trigger import TriggerFireRequested, TriggerRequested

EDITOR = "editor"


def role_to_send(event: Event) -> str:
    """`editor` or `admin`: what it takes, in its namespace, to send this event."""
    if isinstance(event, TriggerRequested):
        return _role_of_action(event.do.type, event.do.data)
    if isinstance(event, TriggerFireRequested) and event.by_admin:
        return ADMIN
    return event.sender_role


def _role_of_action(type: str, data: Mapping[str, Any]) -> str:
    """What it takes to have something sent; triggers may set up triggers."""
    while type == TriggerRequested.type:
        action = data.get("do")
        if not isinstance(action, Mapping) or not isinstance(action.get("type"), str):
            return EDITOR  # made by a template, and judged when it is made
        type, data = action["type"], action.get("data") or {}
        if not isinstance(data, Mapping):
            data = {}
    if type == TriggerFireRequested.type and data.get("by_admin") not in (None, False):
        return ADMIN
    contract = event_types().get(type)
    return contract.sender_role if contract is not None else EDITOR
