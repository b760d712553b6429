"""A refusal of somebody's other request under an id is not the end of what lives under it."""

from datetime import UTC, datetime
from itertools import count

from penstock_chassis.message import Recorded
from penstock_gateway.nouns.job import VIEW
from penstock_registry.domain import (
    State,
    decide_gate_ended,
    decide_job_model,
    decide_promotion,
    evolve,
)
from penstock_schemas import (
    Event,
    Gate,
    JobQueued,
    JobRejected,
    JobRequested,
    JobSucceeded,
    ModelRegistered,
    ModelTarget,
    Objective,
    ObjectRef,
    Program,
    PromotionRejected,
    PromotionRequested,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROGRAM = Program(command=("train",))
FOLDER = ObjectRef(
    uri="s3://penstock/team/blake3/1", digest=f"blake3:{1:064x}", size_bytes=1, kind="folder"
)
OTHER = "another-request"
numbers = count(1)


def recorded(event: Event) -> Recorded:
    number = next(numbers)
    return Recorded(event, "team", number, NOW, f"event-{number}", "source", "story")


def folded(*events: Recorded) -> State:
    state = State()
    for one in events:
        state = evolve(state, one)
    return state


def test_a_jobs_model_is_registered_all_the_same() -> None:
    done = recorded(JobSucceeded(job="a", attempt=1, metrics={}, output=FOLDER, seconds=1))
    state = folded(
        recorded(JobRequested(job="a", program=PROGRAM, target=ModelTarget(model="m"))),
        recorded(JobRejected(job="a", request=OTHER, reason="program: missing")),
        done,
    )
    assert decide_job_model(state, done)


def test_a_later_request_lends_its_target_to_nobody() -> None:
    later = recorded(JobRequested(job="a", program=PROGRAM, target=ModelTarget(model="m")))
    done = recorded(JobSucceeded(job="a", attempt=1, metrics={}, output=FOLDER, seconds=1))
    state = folded(recorded(JobRequested(job="a", program=PROGRAM)), later, done)
    assert decide_job_model(state, done) == []


def test_a_gate_goes_on() -> None:
    gate = Gate(program=PROGRAM, objective=Objective(metric="auc"), min_gain=0.0)
    wish = recorded(PromotionRequested(promotion="p", model="m", model_version=1, gate=gate))
    state = folded(recorded(ModelRegistered(model="m", model_version=1, artifact=FOLDER)), wish)
    (job,) = decide_promotion(state, wish)
    assert isinstance(job, JobRequested)
    asked = recorded(job)
    stray = recorded(JobRejected(job=job.job, request=OTHER, reason="x"))
    own = recorded(JobRejected(job=job.job, request=asked.id, reason="no GPU"))
    for one in (
        asked,
        recorded(PromotionRejected(promotion="p", request=OTHER, reason="x")),
        stray,
    ):
        state = evolve(state, one)
    assert decide_gate_ended(state, stray) == []
    (refusal,) = decide_gate_ended(evolve(state, own), own)
    assert "no GPU" in refusal.reason


def test_promotions_of_equal_event_ids_have_gates_of_their_own() -> None:
    gate = Gate(program=PROGRAM, objective=Objective(metric="auc"), min_gain=0.0)
    state, jobs = folded(recorded(ModelRegistered(model="m", model_version=1, artifact=FOLDER))), []
    for name in ("p", "q"):
        event = PromotionRequested(promotion=name, model="m", model_version=1, gate=gate)
        wish = Recorded(event, "team", next(numbers), NOW, "1", f"source-{name}", "1")
        state = evolve(state, wish)
        jobs += [job.job for job in decide_promotion(state, wish) if isinstance(job, JobRequested)]
    assert len(set(jobs)) == 2


def test_a_row_keeps_its_status() -> None:
    asked = recorded(JobRequested(job="a", program=PROGRAM))
    row = None
    for one in (
        asked,
        recorded(JobRejected(job="a", request=OTHER, reason="x")),
        recorded(JobQueued(job="a", queue="default", attempt=1, reason="waits")),
        recorded(JobRejected(job="a", request=asked.id, reason="too late")),
    ):
        row = VIEW.evolve_row(row, one)
    assert row is not None
    assert row["status"] == "queued"
    refused = VIEW.evolve_row(
        VIEW.evolve_row(None, asked), recorded(JobRejected(job="a", request=asked.id, reason="x"))
    )
    assert refused is not None
    assert refused["status"] == "rejected"
