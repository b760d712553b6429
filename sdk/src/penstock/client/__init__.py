"""The client of the platform's HTTP API, synchronous (`Client`) and asynchronous (`AsyncClient`).

Both have the same names and signatures: `sync/` is generated from `aio/`.
"""

from penstock.client.aio.client import AsyncClient
from penstock.client.endings import Ending
from penstock.client.errors import (
    Ambiguous,
    NotFound,
    NotRunning,
    PenstockError,
    Refused,
    SignInNeeded,
    TimedOut,
    Unavailable,
)
from penstock.client.inference import Prediction
from penstock.client.records import Published, RecordedEvent, Row, Wish
from penstock.client.sync.client import Client

__all__ = [
    "Ambiguous",
    "AsyncClient",
    "Client",
    "Ending",
    "NotFound",
    "NotRunning",
    "PenstockError",
    "Prediction",
    "Published",
    "RecordedEvent",
    "Refused",
    "Row",
    "SignInNeeded",
    "TimedOut",
    "Unavailable",
    "Wish",
    "connect",
]


def connect(
    url: str | None = None, namespace: str | None = None, *, token: str | None = None
) -> Client:
    """A client of the platform at `url`; see `Client` for what is used where none is given."""
    return Client(url, namespace, token=token)
