"""The contract of `RowStore`: in memory, in SQLite and in a real PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_gateway.domain.documents import document_of
from penstock_gateway.domain.event_index import IndexEntry
from penstock_gateway.domain.projected import (
    Batch,
    Checkpoint,
    Query,
    Standing,
    matches,
    needles,
)
from penstock_gateway.domain.read_model import RowKey
from penstock_gateway.domain.view import INDEXED_MAX, Row
from penstock_gateway.errors import Superseded
from penstock_gateway.nouns import VIEWS
from penstock_gateway.ports import RowStore
from penstock_gateway.testing.story import START, random_story

OpenStore = Callable[[], RowStore]
NASTY = 'a\0b "quoted" ü \U0001f9ea 100% ? %s \\ \n'


def job(id: str, born: int, namespace: str = "vision", **columns: Any) -> tuple[RowKey, Row]:
    row = {
        "namespace": namespace,
        "id": id,
        "status": "queued",
        "created_sequence": born,
        "sequence": born,
        **dict.fromkeys(VIEWS["job"].columns),
        **columns,
    }
    return RowKey("job", namespace, id), row


def batch(
    position: int, rows: Iterable[tuple[RowKey, Row]], index: Iterable[IndexEntry] = ()
) -> Batch:
    time = START + timedelta(seconds=position, microseconds=position)
    return Batch(position, time, f"mark-{position}", dict(rows), list(index))


async def ids(store: RowStore, noun: str = "job", namespace: str = "vision", **more: Any) -> Any:
    page = await store.page(Query(noun, namespace, **more))
    return [orjson.loads(document)["id"] for document in page.documents]


async def test_a_new_store_has_no_live_rows(store: RowStore) -> None:
    assert await store.live() is None


async def test_rows_come_back_as_they_were_with_their_columns_in_order(store: RowStore) -> None:
    standing = await store.reset("v1", None)
    key, row = job("one", 1, params={"z": 1, "a": [1.5, None, True]}, reason=NASTY, queue=NASTY)
    after = await store.commit(standing, batch(7, [(key, row)]))
    assert after == Standing(standing.generation, "v1", 7, batch(7, []).time, "mark-7")
    assert await store.live() == after
    page = await store.find("job", "vision", "one")
    assert page.documents == [orjson.dumps(row)]
    assert page.standing == after
    loaded = await store.load(standing.generation, [key, RowKey("job", "vision", "none")])
    assert list(loaded) == [key]
    assert orjson.dumps(loaded[key]) == orjson.dumps(row)
    assert await ids(store, wanted={"queue": NASTY}) == ["one"]


async def test_a_changed_row_keeps_its_place_and_pages_run_from_new_to_old(
    store: RowStore,
) -> None:
    standing = await store.reset("v1", None)
    rows = [job(f"job-{n}", n, "vision" if n % 3 else "audio") for n in range(1, 11)]
    standing = await store.commit(standing, batch(10, rows))
    await store.commit(standing, batch(11, [job("job-1", 1, status="done", sequence=11)]))
    assert await ids(store) == [f"job-{n}" for n in (10, 8, 7, 5, 4, 2, 1)]
    assert await ids(store, namespace="audio") == ["job-9", "job-6", "job-3"]
    assert await ids(store, namespace="-") == [f"job-{n}" for n in range(10, 0, -1)]
    assert await ids(store, noun="trial") == []
    first = await store.page(Query("job", "-", limit=4))
    assert first.next_before == 7
    assert await ids(store, namespace="-", limit=4, born_before=7) == [
        f"job-{n}" for n in (6, 5, 4, 3)
    ]
    last = await store.page(Query("job", "-", limit=10))
    assert last.next_before is None


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({"status": "running"}, {"job-2", "job-4"}),
    ({"queue": "fast"}, {"job-1", "job-2"}),
    ({"queue": ""}, {"job-4"}),
    ({"queue": "null"}, {"job-4", "job-5"}),
    ({"queue": "fast", "status": "running"}, {"job-2"}),
    ({"attempt": "2"}, {"job-3"}),
    ({"attempt": "2.0"}, {"job-3"}),
    ({"cancel_requested": "true"}, {"job-2"}),
    ({"queue": "fast", "attempt": "1"}, {"job-1"}),
    ({"queue": "nowhere"}, set()),
    ({"params": '{"a": 1}'}, {"job-5"}),
    ({"node": NASTY}, {"job-1"}),
    ({"command": "12"}, {"job-1", "job-2", "job-3"}),
    ({"command": "1"}, {"job-4", "job-5"}),
    ({"command": "12.0"}, {"job-1", "job-2"}),
    ({"command": "ls"}, set()),
    ({"exit_code": ""}, {"job-1", "job-2", "job-3", "job-4", "job-5"}),
]


@pytest.mark.parametrize(("wanted", "found"), FILTERS)
async def test_filters_find_what_equals_whether_a_column_has_an_index_or_not(
    store: RowStore, wanted: dict[str, str], found: set[str]
) -> None:
    standing = await store.reset("v1", None)
    rows = [
        job("job-1", 1, queue="fast", attempt=1, node=NASTY, command=12),
        job(
            "job-2",
            2,
            queue="fast",
            status="running",
            cancel_requested=True,
            attempt=3,
            command=12.0,
        ),
        job("job-3", 3, queue="slow", attempt=2, command="12"),
        job("job-4", 4, queue=None, status="running", command=True, params={"node": NASTY}),
        job("job-5", 5, queue="null", params={"a": 1}, command=1),
        job("other", 6, "audio", queue="elsewhere"),
    ]
    await store.commit(standing, batch(6, rows))
    assert set(await ids(store, wanted=wanted)) == found


async def test_a_filter_without_an_index_finds_across_many_rows(store: RowStore) -> None:
    standing = await store.reset("v1", None)
    rows = [job(f"job-{n}", n, attempt=n % 700) for n in range(1, 1501)]
    await store.commit(standing, batch(1500, rows))
    assert await ids(store, wanted={"attempt": "3"}) == ["job-1403", "job-703", "job-3"]
    page = await store.page(Query("job", "vision", {"attempt": "3"}, limit=2))
    assert page.next_before == 703


async def test_in_all_namespaces_the_youngest_of_an_id_is_found(store: RowStore) -> None:
    standing = await store.reset("v1", None)
    rows = [job("same", 1, "vision"), job("same", 2, "audio"), job("other", 3)]
    await store.commit(standing, batch(3, rows))
    (found,) = (await store.find("job", "-", "same")).documents
    assert orjson.loads(found)["namespace"] == "audio"
    assert (await store.find("job", "-", "none")).documents == []


async def test_events_and_stories_are_found_by_their_marks(store: RowStore) -> None:
    standing = await store.reset("v1", None)
    index = [IndexEntry(n, -n, n % 3) for n in range(1, 10)] + [IndexEntry(10, -4, 99)]
    await store.commit(standing, batch(10, [], index))
    assert await store.events(-4, 5) == [4, 10]
    assert await store.events(77, 5) == []
    assert await store.story(2, 2) == [2, 5]


async def test_of_two_that_commit_from_one_standing_one_is_refused_and_leaves_nothing(
    open_store: OpenStore,
) -> None:
    one, other = open_store(), open_store()
    await one.open()
    await other.open()
    standing = await one.reset("v1", None)
    won = await one.commit(standing, batch(5, [job("first", 1)], [IndexEntry(1, 1, 1)]))
    with pytest.raises(Superseded):
        await other.commit(standing, batch(6, [job("second", 2)], [IndexEntry(2, 1, 1)]))
    assert await other.live() == won
    assert await ids(other) == ["first"]
    assert await other.events(1, 5) == [1]


async def test_of_many_that_commit_at_once_one_gets_through(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    standing = await stores[0].reset("v1", None)
    for turn in range(1, 6):
        tries = [
            store.commit(standing, batch(turn, [job(f"by-{n}", turn)]))
            for n, store in enumerate(stores)
        ]
        done = await asyncio.gather(*tries, return_exceptions=True)
        won = [one for one in done if isinstance(one, Standing)]
        assert len(won) == 1
        assert sum(isinstance(one, Superseded) for one in done) == len(stores) - 1
        standing = won[0]
    assert len(await ids(stores[0], namespace="-")) <= 5
    assert await stores[0].count() == {"job": len(await ids(stores[1]))}


async def test_a_reset_drops_everything_and_refuses_who_thinks_otherwise(store: RowStore) -> None:
    first = await store.reset("v1", None)
    with pytest.raises(Superseded):
        await store.reset("v1", None)
    stood = await store.commit(first, batch(3, [job("old", 1)], [IndexEntry(1, 1, 1)]))
    with pytest.raises(Superseded):
        await store.reset("v2", first)
    second = await store.reset("v2", stood)
    assert second.version == "v2"
    assert second.position == 0
    assert second.generation != first.generation
    assert await ids(store) == []
    assert await store.events(1, 5) == []
    with pytest.raises(Superseded):
        await store.commit(stood, batch(4, [job("late", 2)]))


async def test_equal_generations_are_equal_and_the_rebuilt_one_is_shown(store: RowStore) -> None:
    live = await store.reset("v1", None)
    content = batch(4, [job("one", 1, reason=NASTY), job("two", 2)], [IndexEntry(4, 4, 4)])
    live = await store.commit(live, content)
    rebuilt = await store.begin("v1")
    assert await ids(store) == ["two", "one"]  # what is built beside is not shown
    rebuilt = await store.commit(rebuilt, content)
    compared = await store.replace(live, rebuilt)
    assert compared.equal
    assert (compared.rows, compared.events, compared.position) == (2, 1, 4)
    assert await store.live() == rebuilt
    assert await ids(store) == ["two", "one"]
    with pytest.raises(Superseded):
        await store.commit(live, batch(5, []))


async def test_differences_are_named_row_by_row_and_column_by_column(store: RowStore) -> None:
    live = await store.reset("v1", None)
    rows = [job("changed", 1, attempt=1), job("gone", 2), job("same", 3)]
    live = await store.commit(live, batch(4, rows, [IndexEntry(1, 1, 1), IndexEntry(2, 2, 2)]))
    rebuilt = await store.begin("v1")
    rows = [job("changed", 1, attempt=2), job("new", 2), job("same", 3)]
    index = [IndexEntry(1, 1, 1), IndexEntry(2, 2, 3)]
    rebuilt = await store.commit(rebuilt, batch(4, rows, index))
    compared = await store.replace(live, rebuilt)
    assert not compared.equal
    assert compared.different_rows == 3
    assert compared.different_events == 2
    assert [(one.key.id, one.problem, dict(one.columns)) for one in compared.differences] == [
        ("changed", "columns differ", {"attempt": (1, 2)}),
        ("gone", "not in the rebuilt rows", {}),
        ("new", "not in the live rows", {}),
    ]
    assert await ids(store) == ["same", "new", "changed"]


async def test_a_replacement_is_refused_where_either_has_moved(store: RowStore) -> None:
    live = await store.reset("v1", None)
    rebuilt = await store.begin("v1")
    moved = await store.commit(live, batch(1, [job("one", 1)]))
    with pytest.raises(Superseded):
        await store.replace(live, rebuilt)
    with pytest.raises(Superseded):
        await store.replace(moved, replace(rebuilt, position=9))
    assert await store.live() == moved


async def test_a_generation_left_half_built_goes_when_the_next_begins(store: RowStore) -> None:
    await store.reset("v1", None)
    left = await store.begin("v1")
    left = await store.commit(left, batch(1, [job("one", 1)]))
    await store.begin("v1")
    with pytest.raises(Superseded):
        await store.commit(left, batch(2, []))
    assert await store.load(left.generation, [RowKey("job", "vision", "one")]) == {}


async def test_the_furthest_checkpoint_of_a_version_is_kept(store: RowStore) -> None:
    assert await store.saved("triggers") is None
    far = Checkpoint("v1", 20, "m", b'{"b":1,"a":["\\u0000"]}')
    await store.save("triggers", lambda: far)
    await store.save("triggers", lambda: Checkpoint("v1", 10, "m", b"{}"))
    assert await store.saved("triggers") == far
    other = Checkpoint("v2", 5, "n", b"{}")
    await store.save("triggers", lambda: other)
    assert await store.saved("triggers") == other


async def test_what_one_opened_the_next_finds(open_store: OpenStore) -> None:
    one = open_store()
    await one.open()
    standing = await one.commit(await one.reset("v1", None), batch(3, [job("kept", 1)]))
    again = open_store()
    await again.open()
    assert await again.live() == standing
    assert await ids(again) == ["kept"]


def test_indexed_columns_hold_texts_only() -> None:
    """What is no text has no place in an index: a filter would not find it."""
    from penstock_gateway.domain.read_model import ReadModel
    from penstock_gateway.nouns import PROJECTION
    from penstock_gateway.supervisor.batches import read_item

    model = ReadModel()
    for stored in random_story(1, 3000):
        recorded = read_item(stored).recorded
        if recorded is not None:
            PROJECTION.evolve(model, recorded)
    seen = 0
    for noun, view in VIEWS.items():
        assert len(view.indexed) <= INDEXED_MAX
        for row in model.rows[noun].values():
            for column in view.indexed:
                assert row[column] is None or isinstance(row[column], str), (noun, column)
                seen += row[column] is not None
    assert seen > 50


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(value=VALUES, text=st.text() | st.integers(-99, 999).map(str) | st.just("null"))
@settings(deadline=None, max_examples=500)
def test_no_row_that_matches_is_left_unread(value: Any, text: str) -> None:
    for asked in (text, orjson.dumps(value).decode(), str(value)):
        row = {"column": value}
        held = needles("column", asked)
        if matches(row, {"column": asked}) and held is not None:
            assert any(bytes in document_of(row) for bytes in held)
