"""The projector: resumes, begins anew where it must, and shares a store with others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from penstock_chassis.errors import Unavailable
from penstock_chassis.ports import StoredMessage
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.adapters.postgres_rows import postgres_rows
from penstock_gateway.domain.documents import document_of
from penstock_gateway.domain.projected import Batch, Query, Standing
from penstock_gateway.domain.read_model import Projection, ReadModel
from penstock_gateway.errors import Superseded
from penstock_gateway.http.history import History
from penstock_gateway.http.reading import Reading
from penstock_gateway.http.rebuilding import Rebuilding
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_gateway.ports import RowStore
from penstock_gateway.supervisor import batches as reading
from penstock_gateway.supervisor import projector as module
from penstock_gateway.supervisor.batches import read_item
from penstock_gateway.supervisor.following import FeedingFold
from penstock_gateway.supervisor.projector import Projector
from penstock_gateway.testing.story import StoryLog, random_story

OpenStore = Callable[[], RowStore]
FILTERS = ("penstock.>",)
EVENTS = 900


def small_batches(monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    for place in (module, reading):
        monkeypatch.setattr(place, "BATCH_EVENTS_MAX", events)


def folded(story: Sequence[StoredMessage]) -> ReadModel:
    model = ReadModel()
    for stored in story:
        recorded = read_item(stored).recorded
        if recorded is not None:
            PROJECTION.evolve(model, recorded)
    return model


async def assert_shows(store: RowStore, story: Sequence[StoredMessage]) -> None:
    model = folded(story)
    for noun in VIEWS:
        page = await store.page(Query(noun, "-", limit=10_000))
        assert list(page.documents) == [document_of(r) for r in model.newest_first("-", noun)], noun
        assert page.standing.position == len(story)


class Gateway:
    """A fold and a projector on one log and one store, as the service runs them."""

    def __init__(
        self,
        log: StoryLog,
        store: RowStore,
        projection: Projection = PROJECTION,
    ) -> None:
        self.store = store
        self.projector = Projector(log, store, projection, FILTERS)
        self.fold = FeedingFold(self.projector)
        self.log = log

    async def caught_up(self) -> None:
        head = await self.log.head(FILTERS)
        await self.fold.reach(head)
        await self.projector.reach(head)


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    tasks = [
        asyncio.create_task(gateway.fold.follow(gateway.log)),
        asyncio.create_task(gateway.projector.run()),
    ]
    try:
        yield gateway
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_what_is_shown_is_the_fold_of_the_log_at_every_length(store: RowStore) -> None:
    story = random_story(1, EVENTS)
    log = StoryLog(story[:10])
    async with running(Gateway(log, store)) as gateway:
        for start, end in ((10, 11), (11, 300), (300, EVENTS)):
            await gateway.caught_up()
            await assert_shows(store, story[:start])
            await log.grow(story[start:end])
        await gateway.caught_up()
        await assert_shows(store, story)


async def test_a_new_start_goes_on_where_the_last_one_stood(open_store: OpenStore) -> None:
    story = random_story(2, EVENTS)
    log = StoryLog(story[:400])
    async with running(Gateway(log, open_store())) as gateway:
        await gateway.caught_up()
    await log.grow(story[400:])
    store = open_store()
    commits = Counting(store)
    async with running(Gateway(log, commits)) as gateway:
        await gateway.caught_up()
        assert commits.first is not None
        assert commits.first.position == 400
        assert commits.events < 501  # nothing was projected twice
    await assert_shows(store, story)


class Counting:
    """A store that counts what is committed through it."""

    def __init__(self, store: RowStore) -> None:
        self._store = store
        self.first: Standing | None = None
        self.events = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, before: Standing, batch: Batch) -> Standing:
        self.first = self.first or before
        after = await self._store.commit(before, batch)
        self.events += len(batch.index)
        return after


async def test_rows_of_other_views_are_made_anew(open_store: OpenStore) -> None:
    story = random_story(3, 200)
    old = Projection({"job": VIEWS["job"]}, "old")
    async with running(Gateway(StoryLog(story), open_store(), old)) as gateway:
        await gateway.caught_up()
        assert set(await gateway.store.count()) == {"job"}
    async with running(Gateway(StoryLog(story), open_store())) as gateway:
        await gateway.caught_up()
        await assert_shows(gateway.store, story)
        assert gateway.projector.standing.version == PROJECTION.version


@pytest.mark.parametrize("length", [150, 400])
async def test_another_log_makes_everything_anew(open_store: OpenStore, length: int) -> None:
    """Whether it is shorter than the position that was recorded, or longer."""
    async with running(Gateway(StoryLog(random_story(4, 300)), open_store())) as gateway:
        await gateway.caught_up()
    other = random_story(5, length)
    async with running(Gateway(StoryLog(other), open_store())) as gateway:
        await gateway.caught_up()
        await assert_shows(gateway.store, other)
        assert gateway.fold.position == length


async def test_several_gateways_on_one_store_project_every_event_once(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_batches(monkeypatch, 7)
    story = random_story(7, EVENTS)
    log = StoryLog(story[:100])
    gateways = [Gateway(log, open_store()) for _ in range(3)]
    async with running(gateways[0]), running(gateways[1]), running(gateways[2]):
        for start in range(100, EVENTS, 50):
            await log.grow(story[start : start + 50])
            await asyncio.sleep(0)
        await asyncio.gather(*(gateway.caught_up() for gateway in gateways))
        for gateway in gateways:
            await assert_shows(gateway.store, story)
        done = await Rebuilding(gateways[1].projector).rebuild()
        assert done.comparison.equal, done.comparison
        assert done.comparison.events == sum(
            read_item(stored).recorded is not None for stored in story
        )
        more = random_story(7, EVENTS + 60)[EVENTS:]
        await log.grow(more)
        await asyncio.gather(*(gateway.caught_up() for gateway in gateways))
        await assert_shows(gateways[2].store, log.stored)


async def test_a_buffer_that_overflows_is_made_up_for_from_the_log(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUFFER_EVENTS_MAX", 20)
    monkeypatch.setattr(module, "BUFFER_BYTES_MAX", 8_000)
    small_batches(monkeypatch, 9)
    story = random_story(8, EVENTS)
    log = StoryLog(story[:1])
    async with running(Gateway(log, store)) as gateway:
        for start in range(1, EVENTS, 61):
            await log.grow(story[start : start + 61])
            await gateway.fold.reach(min(start + 61, EVENTS))
            assert len(gateway.projector._buffer) <= 20
        await gateway.caught_up()
        await assert_shows(store, story)


class Failing(Counting):
    """A store that now and then does not answer, its effect done or not."""

    def __init__(self, store: RowStore) -> None:
        super().__init__(store)
        self.failures = 0

    async def commit(self, before: Standing, batch: Batch) -> Standing:
        self.failures += 1
        if self.failures % 3 == 1:
            raise Unavailable("no answer, no effect")
        after = await super().commit(before, batch)
        if self.failures % 3 == 2:
            raise Unavailable("the effect, no answer")
        return after


async def test_a_store_that_does_not_answer_delays_and_changes_nothing(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_FIRST_SECONDS", 0.001)
    small_batches(monkeypatch, 50)
    story = random_story(9, EVENTS)
    failing = Failing(store)
    async with running(Gateway(StoryLog(story), failing)) as gateway:
        await gateway.caught_up()
        await assert_shows(store, story)
        assert failing.failures > 10
        done = await Rebuilding(Projectorless(gateway, store)).rebuild()
        assert done.comparison.equal


def Projectorless(gateway: Gateway, store: RowStore) -> Projector:
    """The same projector on the store that answers."""
    gateway.projector.store = store
    return gateway.projector


async def test_rows_are_refused_while_they_are_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS_MAX", 0.01)
    projector = Projector(StoryLog(random_story(1, 5)), MemoryRows(), PROJECTION, FILTERS)
    reading = Reading(projector, History(projector.log, PROJECTION))
    with pytest.raises(Unavailable, match="being made from the log"):
        await reading.page(Query("job", "-"))


async def test_a_rebuild_says_what_was_wrong_and_mends_it(store: RowStore) -> None:
    story = random_story(10, 300)
    async with running(Gateway(StoryLog(story), store)) as gateway:
        await gateway.caught_up()
        live = gateway.projector.standing
        page = await store.find("job", "-", "job-1")
        from penstock_gateway.domain.documents import row_of
        from penstock_gateway.domain.read_model import RowKey

        row = {**row_of(page.documents[0]), "node": "wrong"}
        key = RowKey("job", str(row["namespace"]), "job-1")
        assert live.time is not None
        broken = Batch(live.position, live.time, live.mark, {key: row}, [])
        assert await store.commit(live, broken) == live
        rebuilding = Rebuilding(gateway.projector)
        done = await rebuilding.rebuild()
        assert not done.comparison.equal
        (difference,) = done.comparison.differences
        assert difference.key == key
        assert difference.columns["node"][0] == "wrong"
        await assert_shows(store, story)
        assert (await rebuilding.rebuild()).comparison.equal


async def test_rows_go_on_while_they_are_rebuilt(store: RowStore) -> None:
    story = random_story(11, EVENTS)
    log = StoryLog(story[:600])
    async with running(Gateway(log, store)) as gateway:
        await gateway.caught_up()
        rebuilding = asyncio.create_task(Rebuilding(gateway.projector).rebuild())
        for start in range(600, EVENTS, 20):
            await log.grow(story[start : start + 20])
            await gateway.projector.reach(min(start + 20, EVENTS))
        done = await rebuilding
        assert done.comparison.equal, done.comparison
        await gateway.caught_up()
        await assert_shows(store, story)


async def test_a_rebuild_ends_where_another_process_replaced_the_rows(store: RowStore) -> None:
    story = random_story(12, 50)
    async with running(Gateway(StoryLog(story), store)) as gateway:
        await gateway.caught_up()
        standing = gateway.projector.standing
        rebuilding = Rebuilding(gateway.projector)
        with pytest.raises(Superseded):
            await store.replace(standing, replace(standing, generation=99))
        assert (await rebuilding.rebuild()).comparison.equal
        assert not rebuilding.running


async def test_ended_connections_to_postgres_lose_and_double_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_FIRST_SECONDS", 0.01)
    small_batches(monkeypatch, 20)
    story = random_story(13, EVENTS)
    log = StoryLog(story[:100])
    store = postgres_rows(database, {noun: view.indexed for noun, view in VIEWS.items()})
    ended = 0
    with psycopg.connect(database, autocommit=True) as connection:
        async with running(Gateway(log, store)) as gateway:
            await gateway.caught_up()
            for start in range(100, EVENTS, 50):
                await log.grow(story[start : start + 50])
                found = await asyncio.to_thread(connection.execute, END_ALL)
                ended += len(found.fetchall())
                await asyncio.sleep(0)
                if start % 100 == 0:
                    await gateway.caught_up()
            await gateway.caught_up()
            await assert_shows(store, story)
            done = await Rebuilding(gateway.projector).rebuild()
            assert done.comparison.equal, done.comparison
    assert ended > 3
    await store.close()


END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'penstock-gateway'"
)


class Absent(Counting):
    """A store that is not there at first."""

    def __init__(self, store: RowStore) -> None:
        super().__init__(store)
        self.there = asyncio.Event()

    async def open(self) -> None:
        if not self.there.is_set():
            raise Unavailable("nobody answers")
        await self._store.open()


async def test_a_store_that_is_not_there_at_the_start_holds_up_no_decisions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE_FIRST_SECONDS", 0.001)
    story = random_story(14, 200)
    store = Absent(MemoryRows())
    async with running(Gateway(StoryLog(story), store)) as gateway:
        await gateway.fold.reach(200)
        assert gateway.projector.standing.position == 0
        store.there.set()
        await gateway.caught_up()
        await assert_shows(store, story)


async def test_a_gateway_with_older_views_stands_by_while_a_newer_one_projects(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STANDBY_SECONDS", 0.01)
    story = random_story(15, 600)
    log = StoryLog(story[:300])
    older = Gateway(log, open_store(), Projection({"job": VIEWS["job"]}, "older"))
    newer = Gateway(log, open_store())
    async with running(older):
        await older.caught_up()
        async with running(newer):
            await newer.caught_up()
            for start in range(300, 600, 30):
                await log.grow(story[start : start + 30])
                await newer.caught_up()
                await older.caught_up()
            live = await newer.store.live()
            assert live is not None
            assert live.version == PROJECTION.version
            assert not older.projector.ours
            await assert_shows(newer.store, story)
