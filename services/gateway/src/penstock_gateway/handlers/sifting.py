"""A sieve before the judge: most events of a stretch do not fulfil a condition, and cost little.

It reads what the condition names and no more: mostly not the envelope, and where it asks for
`meta` alone, not the payload either. What it keeps back does not fulfil the condition, whatever
else is wrong with it; everything else, also what it is not sure of, goes to the judge.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from penstock_chassis.ports import StoredMessage
from penstock_gateway.domain.endings import ENDING_TYPES
from penstock_gateway.domain.expressions import Compile, Expression
from penstock_gateway.domain.judging import ALWAYS, ROW
from penstock_gateway.domain.trigger_book import NOUN
from penstock_gateway.domain.view import utc_text
from penstock_gateway.errors import ExpressionError, MissingValue
from penstock_schemas import TriggerRequested, event_types
from penstock_schemas.envelope import SCHEMA_URN

ID_HEADER = "ce-id"
SCHEMA_HEADER = "ce-dataschema"
NEEDS = frozenset({"event", "meta"})


class Sieve:
    """Keeps back what does not fulfil a trigger's condition."""

    def __init__(self, declared: TriggerRequested, compile: Compile) -> None:
        self._expression: Expression | None = None
        if declared.when == ALWAYS:
            return
        try:
            expression = compile(declared.when)
        except ExpressionError:
            return  # the judge says what is wrong
        if ROW not in expression.names and expression.names <= NEEDS:
            self._expression = expression
            meta = expression.reach.get("meta", {})
            self._event, self._id = "event" in expression.names, meta is None or "id" in meta
            self._time = meta is None or "time" in meta
            self._types = event_types()

    def keeps_back(self, stored: StoredMessage, namespace: str, type: str) -> bool:
        """Whether the event of a type does surely not fulfil the condition, nor matter else."""
        if self._expression is None or type in ENDING_TYPES or type.startswith(f"{NOUN}."):
            return False
        try:
            variables = self._variables(stored, namespace, type)
            return variables is not None and self._expression.evaluate(variables) is False
        except (ValidationError, MissingValue):
            return True  # nobody judges what cannot be read
        except ExpressionError:
            return False

    def _variables(
        self, stored: StoredMessage, namespace: str, type: str
    ) -> Mapping[str, Any] | None:
        """What the condition names of an event; None where that takes more than a look."""
        meta: dict[str, Any] = {"type": type, "namespace": namespace, "sequence": stored.sequence}
        found: dict[str, Any] = {"meta": meta}
        if self._id:
            meta["id"] = stored.headers.get(ID_HEADER, "")
            if not meta["id"] or "%" in meta["id"] or not meta["id"].isascii():
                return None
        if self._time:
            meta["time"] = utc_text(stored.time)
        if self._event:
            contract = self._types[type]
            written = stored.headers.get(SCHEMA_HEADER, f"{SCHEMA_URN}:{type}:1")
            if written != f"{SCHEMA_URN}:{type}:{contract.version}":
                return None  # it is lifted first
            event = contract.model_validate_json(stored.payload)
            found["event"] = event.model_dump(mode="json")
        return found
