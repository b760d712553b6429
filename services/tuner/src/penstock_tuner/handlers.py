"""What the tuner does about each event.

A suggestion takes time, so it is computed outside of the rule; the rule starts a trial only if
its number is still the next one. A suggestion that lost a race is thrown away.
"""

from functools import partial

from penstock_chassis.decider import Decider
from penstock_chassis.message import Cause, Recorded
from penstock_tuner.domain import State, complete_trial, continue_experiment, refuse_if_wrong
from penstock_tuner.domain.rules import experiment_of, wanted
from penstock_tuner.domain.suggestion import Suggestion
from penstock_tuner.ports import Suggester


class Desk:
    """What every handler of the tuner works with."""

    def __init__(self, decider: Decider[State], suggester: Suggester) -> None:
        self.decider = decider
        self.suggester = suggester

    async def go_on(self, cause: Cause, name: str, after: int) -> None:
        """Start trials while there is room, or end the experiment."""
        namespace = cause.namespace
        await self.decider.fold.reach(after)
        while True:
            state = await self.decider.settle()
            numbers = wanted(state, namespace, name)
            made: list[Suggestion] = []
            if numbers:
                experiment = state.experiments[namespace, name]
                made.append(await self.suggester.suggest(experiment, numbers[0]))
            rule = partial(continue_experiment, namespace=namespace, name=name, suggestions=made)
            await self.decider.decide(cause, rule, after=after)
            if not numbers:
                return


async def on_experiment_requested(desk: Desk, message: Recorded) -> None:
    """Refuse what makes no sense, else start the first trials."""
    await desk.decider.handle(message, refuse_if_wrong)
    experiment = desk.decider.fold.state.experiments[message.namespace, message.event.id]
    await desk.go_on(experiment.cause, message.event.id, message.sequence)


async def on_job_ended(desk: Desk, message: Recorded) -> None:
    """End the trial whose job this was, then start the next ones."""
    await desk.decider.handle(message, complete_trial)
    name = experiment_of(desk.decider.fold.state, message.namespace, message.event.id)
    if name is not None:
        await desk.go_on(message.cause, name, message.sequence)
