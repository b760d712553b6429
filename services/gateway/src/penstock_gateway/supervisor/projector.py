"""The projector: keeps the rows in their store up to date with the log.

Guarantees, whatever crashes when:

- Rows and the position that they stand at change in one transaction: after any crash it goes on
  behind the last message that is in them, and what comes of it is what a rebuild would make.
- It starts where the store stands, not at the beginning of the log. It begins anew where the
  views are of another version, or the log is not the one that was followed.
- Several processes may project into one store: a commit counts only where nobody else has moved
  the position; the others re-read and go on.

It is fed what the gateway's fold has decoded anyway, through a bounded buffer; what does not fit,
and what is older, it reads from the log itself.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import structlog

from penstock_chassis.errors import Unavailable
from penstock_chassis.message import Recorded
from penstock_chassis.ports import EventLog, StoredMessage
from penstock_gateway.domain.event_index import entry_of, message_mark
from penstock_gateway.domain.projected import Batch, Standing
from penstock_gateway.domain.read_model import Projection, RowKey
from penstock_gateway.domain.view import Row
from penstock_gateway.errors import Superseded
from penstock_gateway.ports import RowStore
from penstock_gateway.supervisor.batches import BATCH_EVENTS_MAX, Item, batches
from penstock_gateway.supervisor.resuming import follows

T = TypeVar("T")

COMMIT_GAP_SECONDS = 0.02
"""Between two commits, unless a whole batch waits: what comes at once is written at once, but a
stream of events is not a transaction each (measured: 0.4 ms of a core)."""
BUFFER_EVENTS_MAX = 2000
BUFFER_BYTES_MAX = 16 * 2**20
"""Of payloads that wait to be projected; beyond it they are read from the log again."""
CACHE_ROWS_MAX = 1000
PAUSE_FIRST_SECONDS = 0.2
PAUSE_MAX_SECONDS = 5.0
STANDBY_SECONDS = 1.0
"""How often a gateway looks whose views made the rows while they are not its own."""
SETTLE_SECONDS_MAX = 10.0
"""How long a read waits for rows that are being made anew."""

log = structlog.get_logger("penstock.gateway")


class Projector:
    """Projects one log into one store, from `run` on."""

    def __init__(
        self, log: EventLog, store: RowStore, projection: Projection, filters: Sequence[str]
    ) -> None:
        self.log = log
        self.store = store
        self.projection = projection
        self.filters = filters
        self.turn = asyncio.Lock()
        """Held while something is committed to the live rows."""
        self.standing = Standing(0, "")
        """Of the live rows, as far as we know."""
        self.target = 0
        """What the rows must reach before they are shown."""
        self._started = asyncio.Event()
        self._buffer: deque[Item] = deque()
        self._buffer_bytes = 0
        self._behind = 0
        """Everything that was followed above this sequence is in the buffer."""
        self._fed = asyncio.Event()
        self._next_commit = 0.0
        """By the loop's clock."""
        self._cache: OrderedDict[RowKey, Row] = OrderedDict()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failed: BaseException | None = None

    @property
    def ours(self) -> bool:
        """Whether the live rows are made by our views."""
        return self.standing.version == self.projection.version

    @property
    def settled(self) -> bool:
        """Whether the rows have caught up with where the log was when we started."""
        return self._started.is_set() and self.standing.position >= self.target

    def begin(self, position: int) -> None:
        """What `feed` will be given lies above this sequence."""
        self._behind = position

    def feed(self, stored: StoredMessage, recorded: Recorded | None) -> None:
        """Take the next message that was followed; never waits."""
        full = len(self._buffer) >= BUFFER_EVENTS_MAX
        if full or self._buffer_bytes + len(stored.payload) > BUFFER_BYTES_MAX:
            if self._buffer:
                self._behind = self._buffer[-1].stored.sequence
            self._buffer.clear()
            self._buffer_bytes = 0
        self._buffer.append(Item(stored, recorded))
        self._buffer_bytes += len(stored.payload)
        self._fed.set()

    async def reach(self, sequence: int) -> None:
        """Wait until everything up to `sequence` (that we follow) is in the rows."""
        if self._failed is not None:
            raise RuntimeError("the projection stopped") from self._failed
        if self._started.is_set() and self.standing.position >= sequence:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((sequence, future))
        await future

    async def shown(self) -> None:
        """Wait until the rows may be shown; raises `Unavailable` where that takes long."""
        if self.settled:
            return
        try:
            async with asyncio.timeout(SETTLE_SECONDS_MAX):
                await self.reach(0)
                await self.reach(self.target)
        except TimeoutError:
            raise Unavailable(
                f"the rows are being made from the log: {self.standing.position} of {self.target}"
            ) from None

    async def run(self) -> None:
        """Project for ever."""
        try:
            self.target = await self.insist(lambda: self.log.head(self.filters))
            await self._stand(await self.insist(self._open))
            self._started.set()
            self._wake()
            while True:
                await self._go_on()
        except BaseException as error:
            self._failed = error
            for _, future in self._waiting:
                if not future.done():
                    future.set_exception(RuntimeError(f"the projection stopped: {error!r}"))
            raise

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the store or the log answers."""
        pause = PAUSE_FIRST_SECONDS
        while True:
            try:
                return await call()
            except Unavailable as error:
                log.warning("projection waits", error=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_SECONDS)

    async def _open(self) -> Standing:
        """The standing to go on from: what is there, or nothing where that is of no use."""
        await self.store.open()
        while True:
            live = await self.store.live()
            why = await self._useless(live)
            if not why:
                assert live is not None
                return live
            log.info("rows are made anew from the log", why=why)
            try:
                return await self.store.reset(self.projection.version, live)
            except Superseded:
                continue  # another process did it: look again

    async def _useless(self, live: Standing | None) -> str:
        if live is None:
            return "there are none yet"
        if live.version != self.projection.version:
            return "the views are of another version"
        if not await follows(self.log, live.position, live.mark):
            return "the log is not the one that they were made from"
        return ""

    async def _go_on(self) -> None:
        """Project what there is, once there is something."""
        if not self.ours:
            await asyncio.sleep(STANDBY_SECONDS)
            await self._look()
            return
        if self.standing.position < self._behind:
            await self._catch_up()
            return
        self._fed.clear()
        if not self._buffer:
            await self._fed.wait()
            return  # the buffer may have overflowed meanwhile: look again
        time = asyncio.get_running_loop().time
        if len(self._buffer) < BATCH_EVENTS_MAX and time() < self._next_commit:
            await asyncio.sleep(self._next_commit - time())
        after, part = self._take()
        if part:
            await self._commit(after, part)
            self._next_commit = time() + COMMIT_GAP_SECONDS

    async def _catch_up(self) -> None:
        """Read from the log what is no longer in the buffer."""
        after = self.standing.position
        older = batches(self.log, self.filters, after, lambda: self._behind)
        async with aclosing(older) as parts:
            async for part in parts:
                if not await self._commit(after, part):
                    return
                after = part[-1].stored.sequence

    def _take(self) -> tuple[int, list[Item]]:
        """What is in the buffer above the standing, and the position that it follows; nothing
        where the buffer begins too late for that."""
        after = self._behind
        part: list[Item] = []
        while after <= self.standing.position and self._buffer and len(part) < BATCH_EVENTS_MAX:
            item = self._buffer.popleft()
            self._buffer_bytes -= len(item.stored.payload)
            self._behind = item.stored.sequence
            if item.stored.sequence > self.standing.position:
                part.append(item)
        return after, part

    async def _commit(self, after: int, items: Sequence[Item]) -> bool:
        """Write what follows the standing, of all that the log has above `after`; whether it is in
        the rows now."""
        async with self.turn:
            assert after <= self.standing.position, "a batch leaves nothing out"
            fresh = [item for item in items if item.stored.sequence > self.standing.position]
            if not fresh:
                return True
            try:
                batch = await self.fold(self.standing, fresh, self._cache)
                standing = await self.store.commit(self.standing, batch)
            except Superseded:
                await self._look()
                return False
            except Unavailable as error:
                log.warning("projection waits", error=str(error))
                await asyncio.sleep(PAUSE_FIRST_SECONDS)
                await self._look()
                return False
            self._trim()
            await self._stand(standing)
            return True

    async def fold(
        self, standing: Standing, items: Sequence[Item], rows: "OrderedDict[RowKey, Row]"
    ) -> Batch:
        """What messages change in a generation. `rows` holds rows that are known as they stand
        there, and is brought up to date."""
        events = [item.recorded for item in items if item.recorded is not None]
        needed = {key for event in events for key in self.projection.keys(event)}
        unknown = needed - rows.keys()
        if unknown:
            rows.update(await self.store.load(standing.generation, unknown))
        changed: dict[RowKey, Row] = {}
        for event in events:
            for key, row in self.projection.step(rows.get, event):
                rows[key] = changed[key] = row
                rows.move_to_end(key)
        last = items[-1].stored
        index = [entry_of(event) for event in events]
        return Batch(last.sequence, last.time, message_mark(last), changed, index)

    async def _look(self) -> None:
        """Re-read where the rows stand: somebody else, or nobody knows who, has changed them."""
        self._cache.clear()
        live = await self.insist(self.store.live)
        if live is None:  # dropped under our hands
            live = await self.insist(self._open)
        await self._stand(live)

    def adopt(self, standing: Standing) -> None:
        """Other rows are live now; only within `turn`."""
        self._cache.clear()
        self.standing = standing

    async def _stand(self, standing: Standing) -> None:
        self.standing = standing
        self._wake()

    def _trim(self) -> None:
        while len(self._cache) > CACHE_ROWS_MAX:
            self._cache.popitem(last=False)

    def _wake(self) -> None:
        if not self._waiting or not self._started.is_set():
            return
        still = []
        for sequence, future in self._waiting:
            if sequence > self.standing.position:
                still.append((sequence, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still
