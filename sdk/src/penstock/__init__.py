"""Penstock: publish and follow events, train, and look around, from Python.

    with penstock.run() as run:        # in a training script; imports the standard library alone
        run.log(step=20, auc=0.70)

    penstock.publish(QueueRequested(...))   # everywhere else
    client = penstock.connect()

The client and what it needs (httpx, pydantic) are imported when first named: a training script
starts without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.training import Run, RunError, run

if TYPE_CHECKING:
    from penstock.client import AsyncClient as AsyncClient
    from penstock.client import Client as Client
    from penstock.client import PenstockError as PenstockError
    from penstock.client import connect as connect
    from penstock.client import publish as publish

_IN_CLIENT = ("AsyncClient", "Client", "PenstockError", "connect", "publish")

__all__ = ["AsyncClient", "Client", "PenstockError", "Run", "RunError", "connect", "publish", "run"]


def __getattr__(name: str) -> Any:
    if name in _IN_CLIENT:
        return getattr(import_module("penstock.client"), name)
    raise AttributeError(f"module 'penstock' has no attribute {name!r}")
