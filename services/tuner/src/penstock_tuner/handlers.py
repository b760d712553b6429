"""What the tuner does on each event: end trials, start the next, complete the experiment."""

import asyncio
from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.message import Cause, Recorded
from penstock_schemas import ExperimentRequested
from penstock_tuner.domain import (
    Drawn,
    Experiment,
    Key,
    PastTrial,
    Phase,
    State,
    Status,
    decide_completion,
    decide_request,
    decide_start,
    decide_trial_end,
    history,
    open_numbers,
)
from penstock_tuner.domain.history import search_of
from penstock_tuner.ports import Suggester


class Tuner:
    """The tuner's one writer: its decider and its sampler, one question at a time an experiment."""

    def __init__(
        self, desk: Decider[State], suggester: Suggester, trials_per_append: int = 1
    ) -> None:
        self.desk = desk
        self._suggester = suggester
        self._trials_per_append = trials_per_append
        self._turns: dict[Key, asyncio.Lock] = {}

    async def advance(self, cause: Cause, key: Key) -> None:
        """Start what may start now, and complete the experiment when nothing is left."""
        async with self._turns.setdefault(key, asyncio.Lock()):
            while True:
                # 1. Snapshot: the state that holds everything said here so far.
                state = await self.desk.settle()
                experiment = state.experiments[key]
                numbers = open_numbers(experiment)[: self._trials_per_append]
                if not numbers:
                    break
                # 2. Draw, which takes long; 3. commit, if these are still the next numbers.
                drawn = await self._draw(experiment, numbers)
                await self.desk.decide(cause, partial(decide_start, key=key, drawn=drawn))
            await self.desk.decide(cause, partial(decide_completion, key=key))
        if self.desk.fold.state.experiments[key].phase is Phase.COMPLETED:
            self._turns.pop(key, None)

    async def _draw(self, experiment: Experiment, numbers: range) -> list[Drawn]:
        """Suggestions for the numbers, each one knowing those before it as running."""
        search = search_of(experiment.request)
        past = list(history(self.desk.fold.state, experiment.key))
        drawn = []
        for number in numbers:
            suggestion = await self._suggester.suggest(search, past, number)
            drawn.append(Drawn(number, suggestion, self._suggester.library))
            running = PastTrial(
                number, suggestion.params, suggestion.attributes, Status.RUNNING, None
            )
            past.append(running)
        return drawn


async def on_experiment_requested(tuner: Tuner, message: Recorded) -> None:
    """Refuse it, or start its first trials."""
    assert isinstance(message.event, ExperimentRequested)
    if not await tuner.desk.handle(message, decide_request):
        key = message.namespace, message.event.experiment
        if tuner.desk.fold.state.experiments[key].request_id == message.id:
            await tuner.advance(message.cause, key)


async def on_job_ended(tuner: Tuner, message: Recorded) -> None:
    """End the trial that the job belongs to, if it belongs to one, and go on."""
    await tuner.desk.handle(message, decide_trial_end)
    job = tuner.desk.fold.state.jobs.get((message.namespace, message.event.id))
    if job is not None:
        await tuner.advance(message.cause, (message.namespace, job.experiment))
