"""The rules of endpoints and rollouts, without a bus: any order of wishes, promotions and ends."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from penstock_chassis.message import Recorded
from penstock_schemas import (
    EndpointRequested,
    Event,
    ModelPromoted,
    ModelRegistered,
    ObjectRef,
    RolloutStarted,
)
from penstock_serving.domain import (
    State,
    current,
    decide_completed,
    decide_endpoint,
    decide_promoted,
    decide_rolledback,
    evolve,
    unfinished,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REF = ObjectRef(uri="s3://b/k", digest="blake3:" + "0" * 64, size_bytes=1, kind="folder")


class Log:
    """A log of one namespace and the state that it folds to."""

    def __init__(self) -> None:
        self.state = State()
        self.events: list[Event] = []

    def say(self, event: Event) -> Recorded:
        self.events.append(event)
        number = len(self.events)
        recorded = Recorded(event, "default", number, NOW, f"id-{number}", "test", "c")
        self.state = evolve(self.state, recorded)
        return recorded

    def say_all(self, events: list[Event]) -> None:
        for event in events:
            self.say(event)


steps = st.lists(st.sampled_from(["endpoint", "1", "2", "3", "complete", "roll back"]), max_size=30)


@given(steps)
def test_revisions_have_no_gaps_and_the_newest_rollout_is_of_the_version_that_the_alias_names(
    names: list[str],
) -> None:
    log = Log()
    for version in (1, 2, 3):
        log.say(ModelRegistered(model="m", model_version=version, artifact=REF))
    asked = False
    for name in names:
        rollout = unfinished(log.state, ("default", "e"))
        if name == "endpoint":
            asked = True
            log.say_all(
                decide_endpoint(log.state, log.say(EndpointRequested(endpoint="e", model="m")))
            )
        elif name.isdigit():
            event = ModelPromoted(
                model="m", model_version=int(name), alias="champion", promotion="p", reason="r"
            )
            recorded = log.say(event)
            log.say_all(decide_promoted(log.state, recorded))
            assert decide_promoted(log.state, recorded) == []
        elif rollout is not None:
            end = decide_completed(log.state, "default", rollout.started, NOW)
            if name == "roll back":
                end = decide_rolledback(log.state, "default", rollout.started, "bad")
            log.say_all(end)
            assert decide_completed(log.state, "default", rollout.started, NOW) == []
            assert decide_rolledback(log.state, "default", rollout.started, "bad") == []
            serving = current(log.state, ("default", "e"))
            if name == "complete":
                assert serving is not None
                assert serving.started == rollout.started
    started = [event for event in log.events if isinstance(event, RolloutStarted)]
    assert [event.revision for event in started] == list(range(1, len(started) + 1))
    named = log.state.aliases.get(("default", "m", "champion"))
    if asked and named is not None:
        assert started[-1].model_version == named
    assert len([event for event in log.events if event.type == "endpoint.ready"]) <= 1
