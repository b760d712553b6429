"""The Optuna adapter: the answer depends on the history alone, in this process and in another."""

import json
from dataclasses import asdict

import pytest

from penstock_schemas import Categorical, Distribution, Float, Int
from penstock_tuner.adapters.optuna_suggester import OptunaSuggester
from penstock_tuner.domain import PastTrial, Search, Status

ASKS = 20
SPACE: dict[str, Distribution] = {
    "rate": Float(kind="float", low=0.001, high=0.3, log=True),
    "ratio": Float(kind="float", low=0, high=1, step=0.3),
    "leaves": Int(kind="int", low=7, high=64, step=4),
    "loss": Categorical(kind="categorical", choices=("log", 1, True, None, 0.5)),
}


def ended(trial: PastTrial) -> PastTrial:
    """Every sixth trial fails, every fifth still runs, the others have a value."""
    if trial.number % 6 == 5:
        return PastTrial(trial.number, trial.params, trial.attributes, Status.FAILED, None)
    if trial.number % 5 == 4:
        return trial
    value = float(trial.params["rate"]) * int(trial.params["leaves"])  # type: ignore[arg-type]
    return PastTrial(trial.number, trial.params, trial.attributes, Status.SUCCEEDED, value)


async def run(sampler: str, seed: int = 7) -> list[PastTrial]:
    """A whole search by one suggester."""
    suggester, past = OptunaSuggester(), []
    search = Search(SPACE, "maximize", sampler, seed)
    for number in range(ASKS):
        drawn = await suggester.suggest(search, past, number)
        running = PastTrial(number, drawn.params, drawn.attributes, Status.RUNNING, None)
        past.append(ended(running))
    return past


def through_json(trial: PastTrial) -> PastTrial:
    """The trial as the log gives it back."""
    copy = json.loads(json.dumps(asdict(trial) | {"status": trial.status.value}))
    return PastTrial(**(copy | {"status": Status(copy["status"])}))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
async def test_a_new_suggester_draws_the_same_from_the_recorded_history(sampler: str) -> None:
    first = await run(sampler)
    search = Search(SPACE, "maximize", sampler, 7)
    same = 0
    for number in range(ASKS):
        past = [through_json(trial) for trial in first[:number]]
        again = await OptunaSuggester().suggest(search, past, number)
        same += again.params == first[number].params
        assert json.loads(json.dumps(again.params)) == first[number].params
    assert same == ASKS


@pytest.mark.parametrize("sampler", ["tpe", "random"])
async def test_draws_stay_in_their_space_and_on_its_grid(sampler: str) -> None:
    for trial in await run(sampler):
        params = trial.params
        assert list(params) == list(SPACE)
        assert 0.001 <= params["rate"] <= 0.3
        assert min(abs(params["ratio"] - step) for step in (0, 0.3, 0.6, 0.9)) < 1e-9
        assert params["leaves"] in range(7, 65, 4)
        assert any(params["loss"] is choice for choice in ("log", True, None)) or params[
            "loss"
        ] in (1, 0.5)


async def test_seeds_and_numbers_draw_differently() -> None:
    drawn = [trial.params["rate"] for trial in await run("random")]
    assert len(set(drawn)) == ASKS
    assert drawn != [trial.params["rate"] for trial in await run("random", seed=8)]


async def test_tpe_learns_from_the_history() -> None:
    trials = await run("tpe")
    search = Search(SPACE, "maximize", "tpe", 7)
    without = [PastTrial(t.number, t.params, t.attributes, Status.FAILED, None) for t in trials]
    learnt = await OptunaSuggester().suggest(search, trials, ASKS)
    assert learnt.params != (await OptunaSuggester().suggest(search, without, ASKS)).params


async def test_the_library_is_named_with_its_version() -> None:
    suggester = OptunaSuggester()
    await suggester.suggest(Search(SPACE, "minimize", "random", 0), [], 0)
    assert suggester.library.startswith("optuna 5.")


async def test_a_history_with_a_gap_is_a_defect() -> None:
    with pytest.raises(ValueError, match="history of trials 0 to 2"):
        await OptunaSuggester().suggest(Search(SPACE, "minimize", "random", 0), [], 3)
