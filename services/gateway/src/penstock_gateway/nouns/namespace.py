"""Namespaces that were set up by a document."""

from collections.abc import Mapping
from typing import Any

from penstock_chassis.message import Recorded
from penstock_gateway.domain.view import Row, View
from penstock_schemas import NamespaceConfigured


def _configured(row: Row, event: NamespaceConfigured, _: Recorded) -> Mapping[str, Any]:
    return {"status": "configured", "description": event.description}


VIEW = View(
    "namespace",
    {"description": "What it is for"},
    {NamespaceConfigured: _configured},
)
