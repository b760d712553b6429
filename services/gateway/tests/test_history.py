"""Time travel: the past is exactly what the live read model showed then."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest

from penstock_chassis.fold import Fold
from penstock_chassis.message import Draft, to_message
from penstock_chassis.ports import Message, Ports
from penstock_chassis.testing import EPOCH, SimWorld, run
from penstock_gateway.domain.read_model import ReadModel
from penstock_gateway.domain.state import NOUNS, State, evolve
from penstock_gateway.errors import HistoryTooLong
from penstock_gateway.http import history as module
from penstock_gateway.http.history import SNAPSHOTS_MAX, History
from penstock_gateway.nouns import PROJECTION
from penstock_schemas import event_types

EVENTS = 120


def new_fold() -> Fold[State]:
    return Fold(NOUNS, State(), partial(evolve, PROJECTION))


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


async def lived(ports: Ports, world: SimWorld, seed: int) -> tuple[Fold[State], list[ReadModel]]:
    """A fold that followed the log as it grew, and what it showed after each event."""
    fold, shown = new_fold(), []
    world.spawn(fold.follow(ports.log))
    for message in story(seed):
        await asyncio.sleep(1.5)
        world.append(message)
        await fold.reach(world.events.last)
        shown.append(fold.state.rows.snapshot())
    return fold, shown


@pytest.mark.parametrize("seed", range(5))
def test_every_moment_shows_what_was_live_then(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_EVENTS", 17)
    monkeypatch.setattr(module, "PAGE_EVENTS", 10)
    chance = random.Random(seed)

    async def main() -> None:
        world = SimWorld(seed)
        ports = world.ports()
        fold, shown = await lived(ports, world, seed)
        times = [stored.time for stored in world.stored()]
        history = History(ports.log, fold, PROJECTION)
        order = list(range(len(times)))
        chance.shuffle(order)
        for number in order:
            delay = timedelta(seconds=chance.choice([0, 0.7]))
            past = await history.at(times[number] + delay)
            assert past.rows == shown[number].rows
            assert (past.position, past.time) == (shown[number].position, shown[number].time)
            assert len(history._snapshots) <= SNAPSHOTS_MAX
        assert (await history.at(EPOCH)).rows == {}
        assert (await history.at(times[-1] + timedelta(days=1))) is fold.state.rows

    run(main(), seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_the_state_rebuilt_from_the_log_equals_the_live_one_field_for_field(seed: int) -> None:
    async def main() -> None:
        world = SimWorld(seed)
        ports = world.ports()
        live, _ = await lived(ports, world, seed)
        again = new_fold()
        for stored in world.stored():
            again.apply(stored)
        assert again.position == live.position
        assert again.state.rows == live.state.rows
        assert again.state.triggers == live.state.triggers
        assert again.state.index == live.state.index
        changed = again.state.rows.snapshot()
        changed.rows["job"].clear()
        assert changed != live.state.rows  # the comparison sees rows

    run(main(), seed=seed)


def test_a_snapshot_is_not_changed_by_later_folds() -> None:
    async def main() -> None:
        world = SimWorld()
        ports = world.ports()
        fold, shown = await lived(ports, world, 1)
        history = History(ports.log, fold, PROJECTION)
        times: list[datetime] = [stored.time for stored in world.stored()]
        early = await history.at(times[20])
        await history.at(times[80])
        assert early.rows == shown[20].rows

    run(main())


def test_a_fold_that_takes_too_long_is_refused_and_goes_on_when_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAGE_EVENTS", 1)
    monkeypatch.setattr(module, "FOLD_SECONDS_MAX", 0.0)

    async def main() -> None:
        world = SimWorld()
        ports = world.ports()
        fold, shown = await lived(ports, world, 2)
        history = History(ports.log, fold, PROJECTION)
        moment = world.stored()[100].time
        with pytest.raises(HistoryTooLong):
            await history.at(moment)
        monkeypatch.setattr(module, "FOLD_SECONDS_MAX", 30.0)
        assert (await history.at(moment)).rows == shown[100].rows

    run(main())
