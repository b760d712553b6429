"""SIGKILL in the middle of projecting: what comes of it is what a rebuild makes."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock_chassis.message import Recorded
from penstock_chassis.ports import StoredMessage
from penstock_gateway.adapters.postgres_rows import postgres_rows
from penstock_gateway.adapters.sqlite_rows import sqlite_rows
from penstock_gateway.domain.documents import document_of
from penstock_gateway.domain.event_index import entry_of
from penstock_gateway.domain.projected import Query
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.http.rebuilding import Rebuilding
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_gateway.ports import RowStore
from penstock_gateway.supervisor.batches import read_item
from penstock_gateway.supervisor.projector import Projector
from penstock_gateway.testing.story import StoryLog, random_story

SCRIPT = Path(__file__).with_name("projecting.py")
EVENTS = 1500
KILLS_MIN = 3
KILLS = 6
STEP_EVENTS = 220
INDEXED = {noun: view.indexed for noun, view in VIEWS.items()}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("database"))
    return str(tmp_path / "rows.sqlite")


def open_place(place: str) -> RowStore:
    if place.startswith("postgresql://"):
        return postgres_rows(place, INDEXED)
    return sqlite_rows(Path(place), INDEXED)


def start(place: str, seed: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, SCRIPT, place, str(seed), str(EVENTS)],
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(process: "subprocess.Popen[str]", position: int, seconds: float) -> int:
    """SIGKILL once the process has committed up to a position, and a moment later; how far it
    had said that it is."""
    assert process.stdout is not None
    reached = 0
    for line in process.stdout:
        reached = int(line)
        if reached >= position:
            break
    time.sleep(seconds)
    process.kill()
    rest = [int(line) for line in process.stdout]
    process.stdout.close()
    process.wait(30)
    return max([reached, *rest])


@pytest.mark.parametrize("seed", [1, 2])
async def test_rows_resumed_after_sigkill_equal_rows_rebuilt_from_scratch(
    place: str, seed: int
) -> None:
    chance = random.Random(seed)
    killed = []
    for turn in range(1, KILLS + 1):
        process = start(place, seed)
        said = kill_after(process, turn * STEP_EVENTS, chance.uniform(0, 0.004))
        if said < EVENTS:
            killed.append(said)
        store = open_place(place)
        await store.open()
        standing = await store.live()
        await store.close()
        assert standing is not None
        assert standing.position >= said  # what was said to be in the rows is in the rows
        assert standing.position >= (killed[-2] if len(killed) > 1 else 0)
    assert len(killed) >= KILLS_MIN, killed
    last = start(place, seed)
    out, _ = last.communicate(timeout=60)
    first = int(out.split()[0])
    assert first > 0, "the last start resumed, it did not begin again"
    await assert_complete(place, seed)


async def assert_complete(place: str, seed: int) -> None:
    story = random_story(seed, EVENTS)
    model = ReadModel()
    recorded = [item.recorded for item in map(read_item, story) if item.recorded is not None]
    for event in recorded:
        PROJECTION.evolve(model, event)
    store = open_place(place)
    try:
        await store.open()
        await assert_equal(store, model, recorded, story)
    finally:
        await store.close()


async def assert_equal(
    store: RowStore, model: ReadModel, recorded: Sequence[Recorded], story: Sequence[StoredMessage]
) -> None:
    # 1. Against a fold in memory: every row of every noun, byte for byte and in order.
    for noun in VIEWS:
        page = await store.page(Query(noun, "-", limit=1000))
        assert page.standing.position == EVENTS
        assert list(page.documents) == [document_of(r) for r in model.newest_first("-", noun)], noun
    # 2. Against the store's own rebuild, with the index of events.
    projector = Projector(StoryLog(story), store, PROJECTION, ("penstock.>",))
    projector.begin(EVENTS)
    running = asyncio.create_task(projector.run())
    await projector.reach(EVENTS)
    done = await Rebuilding(projector).rebuild()
    assert done.comparison.equal, done.comparison
    assert done.comparison.rows == sum(len(rows) for rows in model.rows.values())
    assert done.comparison.events == len({entry_of(event) for event in recorded})
    running.cancel()


async def test_the_check_sees_a_row_that_was_tampered_with(place: str, tmp_path: Path) -> None:
    process = start(place, 3)
    process.communicate(timeout=60)
    tamper(place)
    with pytest.raises(AssertionError):
        await assert_complete(place, 3)


def tamper(place: str) -> None:
    connect: Callable[..., Any]
    if place.startswith("postgresql://"):
        import psycopg

        connect, mark = psycopg.connect, "%s"
    else:
        import sqlite3

        connect, mark = sqlite3.connect, "?"
    connection = connect(place)
    cursor = connection.cursor()
    cursor.execute(
        "SELECT id, CAST(document AS TEXT) FROM penstock_rows WHERE noun = 'job' ORDER BY id"
    )
    id, text = cursor.fetchone()
    changed = orjson.dumps({**orjson.loads(text), "reason": "tampered"})
    cursor.execute(
        f"UPDATE penstock_rows SET document = {mark} WHERE noun = 'job' AND id = {mark}",
        (changed if mark == "?" else changed.decode(), id),
    )
    connection.commit()
    connection.close()
