"""The client of the platform's HTTP API, synchronous (`Client`) and asynchronous (`AsyncClient`).

Both have the same names and signatures: `sync/` is generated from `aio/`.
"""

from typing import TYPE_CHECKING

from penstock.client.aio.client import AsyncClient
from penstock.client.changes import Change, Difference
from penstock.client.documents import (
    Declaration,
    Fault,
    InvalidDocuments,
    read_documents,
    read_files,
)
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

if TYPE_CHECKING:
    from penstock_schemas import Event

__all__ = [
    "Ambiguous",
    "AsyncClient",
    "Change",
    "Client",
    "Declaration",
    "Difference",
    "Ending",
    "Fault",
    "InvalidDocuments",
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
    "publish",
    "read_documents",
    "read_files",
]


def connect(
    url: str | None = None,
    namespace: str | None = None,
    *,
    token: str | None = None,
    patient: bool = False,
) -> Client:
    """A client of the platform at `url`; see `Client` for what is used where none is given.

    Where nothing listens at the first request there is most likely no platform, so that is an
    error at once. A `patient` client waits as it would later, when the platform is started again.
    """
    return Client(url, namespace, token=token, patient=patient)


def publish(event: "Event", *, id: str | None = None, namespace: str | None = None) -> Published:
    """Append one event by a client of its own; see `Client.publish`. For more than a few keep a
    client: it keeps its connection."""
    with connect(namespace=namespace) as client:
        return client.publish(event, id=id)
