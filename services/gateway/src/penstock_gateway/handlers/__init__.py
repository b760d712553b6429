"""What the gateway does about events: triggers, sources, subscriptions, and the audit of
what nobody can read."""

from penstock_gateway.handlers.audit import audit
from penstock_gateway.handlers.rows import RowsAsOf
from penstock_gateway.handlers.sources import on_source_requested
from penstock_gateway.handlers.subscriptions import on_subscription_wish
from penstock_gateway.handlers.triggers import TriggerDesk

__all__ = ["RowsAsOf", "TriggerDesk", "audit", "on_source_requested", "on_subscription_wish"]
