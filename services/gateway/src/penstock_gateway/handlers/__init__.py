"""What the gateway does about events: triggers, and the audit of what nobody can read."""

from penstock_gateway.handlers.audit import audit
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_gateway.handlers.triggers import TriggerDesk

__all__ = ["RowsAsOf", "TriggerDesk", "audit"]
