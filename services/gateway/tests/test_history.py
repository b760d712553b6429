"""Time travel: the past is exactly what the live read model showed then."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Message, Ports
from penstock_chassis.testing import EPOCH, SimWorld, run
from penstock_gateway.adapters.memory_rows import MemoryRows
from penstock_gateway.domain.documents import row_of
from penstock_gateway.domain.projected import Query
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.state import NOUNS
from penstock_gateway.errors import HistoryTooLong
from penstock_gateway.http import history as module
from penstock_gateway.http.history import SNAPSHOTS_MAX, History
from penstock_gateway.http.reading import Reading
from penstock_gateway.http.rebuilding import Rebuilding
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_gateway.supervisor.batches import read_item
from penstock_gateway.supervisor.following import FeedingFold
from penstock_gateway.supervisor.projector import Projector
from penstock_schemas import event_types, filter_of

FILTERS = tuple(filter_of(type=f"{noun}.*") for noun in sorted(NOUNS))
EVENTS = 120


def story(seed: int) -> Sequence[Message]:
    """Every kind of event in a random order, with messages in between that nobody can read."""
    chance = random.Random(seed)
    messages = []
    for number in range(EVENTS):
        contract = chance.choice(list(event_types().values()))
        draft = Draft(contract.model_validate(contract.example), chance.choice(["vision", "audio"]))
        subject = str(draft.event.subject(draft.namespace))
        if chance.random() < 0.1:
            messages.append(Message(subject, b"{", {}, f"broken-{number}"))
        else:
            id = f"event-{number}"
            now = EPOCH + timedelta(seconds=number)
            messages.append(to_message(draft, source="test", cause=None, id=id, now=now))
    return messages


class Lived:
    """A gateway's fold and projector that followed a log as it grew, and what every noun showed
    after each event."""

    def __init__(self, ports: Ports) -> None:
        self.projector = Projector(ports.log, MemoryRows(), PROJECTION, FILTERS)
        self.fold = FeedingFold(self.projector)
        self.history = History(ports.log, PROJECTION)
        self.reading = Reading(self.projector, self.history)
        self.shown: list[dict[str, Sequence[bytes]]] = []
        self.models: list[ReadModel] = []

    async def live(self, ports: Ports, world: SimWorld, seed: int) -> None:
        world.spawn(self.fold.follow(ports.log))
        world.spawn(self.projector.run())
        model = ReadModel()
        for message in story(seed):
            await asyncio.sleep(1.5)
            world.append(message)
            await self.projector.reach(world.events.last)
            recorded = read_item(world.stored()[-1]).recorded
            if recorded is not None:
                PROJECTION.evolve(model, recorded)
            self.models.append(model.snapshot())
            self.shown.append(await self.documents())

    async def documents(self, at: datetime | None = None) -> dict[str, Sequence[bytes]]:
        pages = {noun: await self.reading.page(Query(noun, "-"), at) for noun in VIEWS}
        return {noun: list(page.documents) for noun, page in pages.items()}


async def lived(ports: Ports, world: SimWorld, seed: int) -> Lived:
    gateway = Lived(ports)
    await gateway.live(ports, world, seed)
    return gateway


@pytest.mark.parametrize("seed", range(5))
def test_every_moment_shows_what_was_live_then(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_EVENTS", 17)
    monkeypatch.setattr(module, "PAGE_EVENTS", 10)
    chance = random.Random(seed)

    async def main() -> None:
        world = SimWorld(seed)
        gateway = await lived(world.ports(), world, seed)
        times = [stored.time for stored in world.stored()]
        order = list(range(len(times)))
        chance.shuffle(order)
        for number in order:
            moment = times[number] + timedelta(seconds=chance.choice([0, 0.7]))
            past, expected = await gateway.history.at(moment), gateway.models[number]
            assert past.rows == expected.rows
            assert (past.position, past.time) == (expected.position, expected.time)
            assert len(gateway.history._snapshots) <= SNAPSHOTS_MAX
            assert await gateway.documents(moment) == gateway.shown[number]
        nothing: dict[str, Sequence[bytes]] = {noun: [] for noun in VIEWS}
        assert await gateway.documents(EPOCH) == nothing
        assert gateway.shown[-1] != nothing
        assert await gateway.documents(times[-1] + timedelta(days=1)) == gateway.shown[-1]
        for noun in VIEWS:
            for row in map(row_of, gateway.shown[60][noun]):
                then = await gateway.reading.find(row["namespace"], noun, row["id"], times[60])
                assert then == row

    run(main(), seed=seed)


def test_the_time_after_the_last_event_is_answered_by_the_live_rows() -> None:
    async def main() -> None:
        world = SimWorld(1)
        gateway = await lived(world.ports(), world, 1)
        gateway.history.at = refuse  # type: ignore[method-assign]
        last = world.stored()[-1].time
        assert await gateway.documents(last) == gateway.shown[-1]
        with pytest.raises(AssertionError, match="folded"):
            await gateway.documents(last - timedelta(seconds=1))

    run(main(), seed=1)


async def refuse(moment: datetime) -> ReadModel:
    raise AssertionError("the past was folded")


@pytest.mark.parametrize("seed", range(5))
def test_the_state_rebuilt_from_the_log_equals_the_live_one_field_for_field(seed: int) -> None:
    async def main() -> None:
        world = SimWorld(seed)
        live = await lived(world.ports(), world, seed)
        done = await Rebuilding(live.projector).rebuild()
        assert done.comparison.equal, done.comparison
        assert done.comparison.rows == sum(map(len, live.shown[-1].values())) > 0
        assert await live.documents() == live.shown[-1]

    run(main(), seed=seed)


def test_a_snapshot_is_not_changed_by_later_folds() -> None:
    async def main() -> None:
        world = SimWorld()
        gateway = await lived(world.ports(), world, 1)
        times: list[datetime] = [stored.time for stored in world.stored()]
        early = await gateway.history.at(times[20])
        await gateway.history.at(times[80])
        assert early.rows == gateway.models[20].rows

    run(main())


def test_a_fold_that_takes_too_long_is_refused_and_goes_on_when_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAGE_EVENTS", 1)
    monkeypatch.setattr(module, "FOLD_SECONDS_MAX", 0.0)

    async def main() -> None:
        world = SimWorld()
        gateway = await lived(world.ports(), world, 2)
        moment = world.stored()[100].time
        with pytest.raises(HistoryTooLong):
            await gateway.history.at(moment)
        monkeypatch.setattr(module, "FOLD_SECONDS_MAX", 30.0)
        assert (await gateway.history.at(moment)).rows == gateway.models[100].rows

    run(main())
