"""The trainer's rules: one claim an attempt, one end a job, nothing from superseded attempts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from penstock_chassis.message import Recorded
from penstock_schemas import (
    Event,
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobPreempted,
    JobRequested,
    JobStarted,
    JobSucceeded,
    Program,
    Resources,
)
from penstock_trainer.domain import (
    SILENCE_SECONDS,
    Outcome,
    State,
    decide_abandoned,
    decide_claim,
    decide_end,
    decide_stop,
    decide_waiting,
    evolve,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
GOOD = Outcome(True, metrics={"auc": 0.7})
BAD = Outcome(False, "exited with code 1", exit_code=1)


class History:
    """A log of one job."""

    def __init__(self, *events: Event) -> None:
        self.state = State()
        self.log: list[Recorded] = []
        self.add(JobRequested(job="a", program=Program(command=("x",)), max_attempts=2))
        for event in events:
            self.add(event)

    def add(self, event: Event) -> Recorded:
        number = len(self.log) + 1
        recorded = Recorded(event, "team", number, NOW, f"id-{number}", "test", "c")
        self.log.append(recorded)
        self.state = evolve(self.state, recorded)
        return recorded

    def end(self, attempt: int, outcome: Outcome) -> list[Event]:
        return decide_end(self.state, "team", "a", attempt, outcome)


def placed(attempt: int) -> JobPlaced:
    return JobPlaced(job="a", attempt=attempt, node="n", resources=Resources(), reason="free")


def started(attempt: int) -> JobStarted:
    return JobStarted(job="a", attempt=attempt, node="n", trainer="t")


def preempted(attempt: int) -> JobPreempted:
    return JobPreempted(job="a", attempt=attempt, reason="quota", deadline=NOW)


def test_a_placed_attempt_is_claimed_once() -> None:
    history = History()
    message = history.add(placed(1))
    assert decide_claim(history.state, message, "t") == [started(1)]
    history.add(started(1))
    assert decide_claim(history.state, message, "t") == []


def test_what_waits_is_claimed_without_its_message_until_it_is_claimed_or_over() -> None:
    history = History()
    assert decide_waiting(history.state, "team", "a", "t") == []
    history.add(placed(1))
    assert history.state.waiting == {("team", "a")}
    assert decide_waiting(history.state, "team", "a", "t") == [started(1)]
    history.add(started(1))
    assert history.state.waiting == set()
    assert decide_waiting(history.state, "team", "a", "t") == []
    (failed,) = history.end(1, BAD)
    history.add(failed)
    assert decide_waiting(history.state, "team", "a", "t") == []
    history.add(placed(2))
    history.add(preempted(2))
    (given_up,) = decide_waiting(history.state, "team", "a", "t")
    assert isinstance(given_up, JobFailed)
    history.add(given_up)
    assert history.state.waiting == history.state.claimed == set()


def test_a_claim_says_whose_it_is_and_another_trainer_claims_nothing() -> None:
    history = History()
    message = history.add(placed(1))
    history.add(decide_claim(history.state, message, "one")[0])
    assert decide_claim(history.state, message, "two") == []
    assert history.state.jobs["team", "a"].started_trainer == "one"
    assert history.state.claimed == {("team", "a")}


def test_a_cancelled_job_whose_trainer_is_silent_is_ended_and_no_preempted_one() -> None:
    history = History(placed(1), started(1))
    grace_seconds = history.state.jobs["team", "a"].request.grace_seconds
    late = NOW + timedelta(seconds=grace_seconds + SILENCE_SECONDS)
    history.add(preempted(1))
    assert decide_abandoned(history.state, "team", "a", late) == []
    history.add(JobCancelRequested(job="a", reason="enough"))
    early = late - timedelta(seconds=1)
    assert decide_abandoned(history.state, "team", "a", early) == []
    (event,) = decide_abandoned(history.state, "team", "a", late)
    assert isinstance(event, JobCancelled)
    assert "did not answer" in event.reason
    history.add(event)
    assert decide_abandoned(history.state, "team", "a", late) == []
    assert history.state.claimed == set()


def test_an_older_placement_is_not_claimed() -> None:
    history = History()
    old = history.add(placed(1))
    history.add(placed(2))
    assert decide_claim(history.state, old, "t") == []


def test_a_superseded_attempt_may_not_report() -> None:
    history = History(placed(1), started(1), placed(2), started(2))
    assert history.end(1, GOOD) == []
    assert [type(event) for event in history.end(2, GOOD)] == [JobSucceeded]


def test_a_failure_is_final_at_the_last_attempt_only() -> None:
    history = History(placed(1), started(1))
    (first,) = history.end(1, BAD)
    assert isinstance(first, JobFailed)
    assert not first.final
    assert first.exit_code == 1
    for event in (first, placed(2), started(2)):
        history.add(event)
    (second,) = history.end(2, BAD)
    assert isinstance(second, JobFailed)
    assert second.final


def test_a_failure_that_no_retry_can_mend_is_final_at_once() -> None:
    (event,) = History(placed(1), started(1)).end(1, Outcome(False, "gone", permanent=True))
    assert isinstance(event, JobFailed)
    assert event.final


def test_a_cancelled_job_ends_as_cancelled_whatever_its_script_did() -> None:
    history = History(placed(1), started(1), JobCancelRequested(job="a", reason="enough"))
    assert history.end(1, BAD) == [JobCancelled(job="a", attempt=1, reason="enough")]


def test_a_job_cancelled_before_its_claim_never_starts() -> None:
    history = History(placed(1))
    message = history.add(JobCancelRequested(job="a", reason="enough"))
    (event,) = decide_stop(history.state, message)
    assert event == JobCancelled(job="a", attempt=1, reason="enough")
    assert decide_claim(history.state, history.log[1], "t") == [event]
    history.add(event)
    assert decide_claim(history.state, history.log[1], "t") == []


def test_a_preempted_attempt_fails_without_ending_the_job() -> None:
    (event,) = History(placed(2), started(2), preempted(2)).end(2, BAD)
    assert isinstance(event, JobFailed)
    assert not event.final
    assert "quota" in event.reason


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "claim", "good", "bad", "cancel", "preempt", "stop"]),
            st.integers(1, 4),
        ),
        max_size=30,
    )
)
def test_every_history_claims_an_attempt_once_and_ends_once(steps: list[tuple[str, int]]) -> None:
    history = History()
    for step, attempt in steps:
        messages = [item for item in history.log if isinstance(item.event, JobPlaced)]
        match step:
            case "place":
                history.add(placed(attempt))
            case "claim":
                for message in messages[-attempt:]:
                    for event in decide_claim(history.state, message, "t"):
                        history.add(event)
            case "cancel":
                history.add(JobCancelRequested(job="a", reason="enough"))
            case "preempt":
                history.add(preempted(attempt))
            case "stop":
                for event in decide_stop(history.state, history.log[-1]):
                    history.add(event)
            case _:
                for event in history.end(attempt, GOOD if step == "good" else BAD):
                    history.add(event)
    claims = [item.event.attempt for item in history.log if isinstance(item.event, JobStarted)]
    assert claims == sorted(set(claims))
    ends = [
        item
        for item in history.log
        if isinstance(item.event, (JobSucceeded, JobCancelled))
        or (isinstance(item.event, JobFailed) and item.event.final)
    ]
    assert len(ends) <= 1
