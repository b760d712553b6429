"""What the gateway asks of the world beside the ports of the chassis."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from penstock_gateway.domain.projected import Batch, Checkpoint, Comparison, Page, Query, Standing
from penstock_gateway.domain.read_model import RowKey
from penstock_gateway.domain.view import Row


class Server(Protocol):
    """Serves an ASGI application."""

    async def serve(self, app: Any, on_stop: Callable[[], None]) -> None:
        """Serve until cancelled; then accept nothing new, call `on_stop`, and finish what is in
        hand within a bound."""
        ...


class RowStore(Protocol):
    """Keeps the rows of the read model, the index of events, and where both stand.

    Rows belong to a generation; one generation is live, another may be built beside it. All
    that one call writes is one transaction: after a crash it is there whole or not at all. Any
    number of processes may use one store: whoever commits names the standing that it started
    from, and only one of them gets through. Every method raises `Unavailable` where the store
    does not answer; a write may then have taken effect, which `live` tells.
    """

    async def open(self) -> None:
        """Make what the store needs where it is not there. Before anything else; again is
        harmless."""
        ...

    async def live(self) -> Standing | None:
        """The standing of the live generation, None where there never was one."""
        ...

    async def reset(self, version: str, before: Standing | None) -> Standing:
        """Drop every generation and begin a live one, empty, where `before` is still what is
        live. Raises `Superseded`."""
        ...

    async def begin(self, version: str) -> Standing:
        """Begin a generation beside the live one, empty; one that was left half-built goes."""
        ...

    async def load(self, generation: int, keys: Iterable[RowKey]) -> dict[RowKey, Row]:
        """The rows of these keys that there are."""
        ...

    async def commit(self, before: Standing, batch: Batch) -> Standing:
        """Write a batch and its position; the new standing. Raises `Superseded` where the
        generation does not stand at `before` any more."""
        ...

    async def replace(self, live: Standing, rebuilt: Standing) -> Comparison:
        """Compare two generations, make the rebuilt one live and drop the other. Raises
        `Superseded` where one of them stands elsewhere; their positions must be equal."""
        ...

    async def page(self, query: Query) -> Page:
        """Rows of the live generation, and where it stood in that moment."""
        ...

    async def find(self, noun: str, namespace: str, id: str) -> Page:
        """One row of the live generation (in all namespaces, `-`: the youngest of that id), or
        an empty page."""
        ...

    async def events(self, id_mark: int, limit: int) -> Sequence[int]:
        """Sequences of events that may have this id, in order."""
        ...

    async def story(self, story_mark: int, limit: int) -> Sequence[int]:
        """Sequences of events that may belong to this story, in order."""
        ...

    async def count(self) -> Mapping[str, int]:
        """Rows of the live generation by noun."""
        ...

    async def save(self, name: str, make: Callable[[], Checkpoint]) -> None:
        """Keep a checkpoint, unless one of the same version is kept that is further. `make` is
        called where it holds up nobody, perhaps in a thread."""
        ...

    async def saved(self, name: str) -> Checkpoint | None:
        """The checkpoint of that name."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...
