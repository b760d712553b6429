"""Members: which account has which role in the namespace."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import MemberAdded, MemberRemoved


def _added(row: Row, event: MemberAdded, _: Recorded) -> Mapping[str, Any]:
    return {"status": "member", "role": event.role, "by": event.by}


def _removed(row: Row, event: MemberRemoved, _: Recorded) -> Mapping[str, Any]:
    return {"status": "removed", "role": None, "by": event.by}


VIEW = View(
    "member",
    {"role": "viewer, editor or admin", "by": "The account that decided it last"},
    {MemberAdded: _added, MemberRemoved: _removed},
)
