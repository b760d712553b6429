"""The whole scheduler on the simulated bus: crashes anywhere, faults, and two of it at once."""

from itertools import pairwise

from penstock_chassis.message import Draft, Recorded, read_recorded, to_message
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Pause,
    Scenario,
    SimClock,
    SimLog,
    SimPorts,
    SimWorld,
    Until,
    assert_survives_crashes,
    assert_survives_seeds,
    facts_once,
    no_duplicate_ids,
)
from penstock_scheduler.app import build
from penstock_scheduler.settings import DeclaredNode, SchedulerSettings
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    Event,
    JobCancelled,
    JobCancelRequested,
    JobFailed,
    JobPlaced,
    JobQueued,
    JobRejected,
    JobRequested,
    JobSucceeded,
    NodeRegistered,
    PlanCommitted,
    Program,
    QueueConfigured,
    QueueRequested,
    Resources,
    derived_id,
)

NODE = DeclaredNode(node="local", cpu=2, gpu=2)
TEAMS = ("vision", "speech")
RUN_SECONDS = 1.0


def build_scheduler(ports: SimPorts) -> Service:
    return build(SchedulerSettings(nodes=(NODE,)), ports)


async def toy_trainer(world: SimWorld) -> None:
    """Run every placed attempt for a second; `flaky` fails once, `doomed` for good."""
    seen = 0
    running: set[tuple[str, str]] = set()
    while True:
        for stored in world.stored():
            if stored.sequence <= seen:
                continue
            seen = stored.sequence
            message = read_recorded(stored)
            event, key = message.event, (message.namespace, message.event.id)
            if isinstance(event, JobPlaced):
                running.add(key)
                world.spawn(_end_later(world, message, event, running))
            elif isinstance(event, JobCancelRequested) and key in running:
                running.discard(key)
                _say(world, JobCancelled(job=event.job, reason=event.reason), message)
        await world.events.grown.wait()


async def _end_later(
    world: SimWorld, message: Recorded, event: JobPlaced, running: set[tuple[str, str]]
) -> None:
    import asyncio

    await asyncio.sleep(RUN_SECONDS)
    if (message.namespace, event.job) not in running:
        return
    running.discard((message.namespace, event.job))
    end: Event = JobSucceeded(job=event.job, attempt=event.attempt, seconds=RUN_SECONDS)
    if event.job == "doomed" or (event.job == "flaky" and event.attempt == 1):
        final = event.job == "doomed"
        end = JobFailed(job=event.job, attempt=event.attempt, reason="toy", final=final)
    _say(world, end, message)


def _say(world: SimWorld, event: Event, message: Recorded) -> None:
    world.append(
        to_message(
            Draft(event, message.namespace),
            source="penstock/trainer",
            cause=message.cause,
            id=derived_id(message.id, event.type),
            now=SimClock().now(),
        )
    )


def wish(event: Event, team: str = "vision") -> Draft:
    return Draft(event, team)


def job(name: str, team: str = "vision", cpu: float = 1, gpu: int = 0, queue: str = "default"):
    resources = Resources(cpu=cpu, gpu=gpu)
    program = Program(command=("true",))
    return wish(JobRequested(job=name, program=program, queue=queue, resources=resources), team)


def _queue_there(log: list[Recorded]) -> bool:
    return any(isinstance(item.event, QueueConfigured) for item in log)


PUBLISH = [
    wish(QueueRequested(queue="small", gpu_quota=1)),
    Until(_queue_there),
    job("a"),
    job("flaky", gpu=1),
    job("b", "speech"),
    job("whole", "speech", cpu=2, gpu=2),
    job("impossible", gpu=9),
    job("lost", queue="nowhere"),
    job("q-1", cpu=0.5, gpu=1, queue="small"),
    job("q-2", cpu=0.5, gpu=1, queue="small"),
    job("unwanted", cpu=2, gpu=2),
    wish(JobCancelRequested(job="unwanted", reason="no need")),
    Pause(1.5),
    job("doomed"),
    wish(JobCancelRequested(job="a", reason="late")),
]
ENDS = {
    "a": {"job.succeeded", "job.cancelled"},
    "flaky": {"job.succeeded"},
    "b": {"job.succeeded"},
    "whole": {"job.succeeded"},
    "impossible": {"job.rejected"},
    "lost": {"job.rejected"},
    "q-1": {"job.succeeded"},
    "q-2": {"job.succeeded"},
    "unwanted": {"job.cancelled"},
    "doomed": {"job.failed"},
}


def setup_one(world: SimWorld):
    world.spawn(toy_trainer(world))
    return {"scheduler": build_scheduler}


def setup_two(world: SimWorld):
    """Two incarnations on one log, as when a paused one comes back beside its successor."""
    world.spawn(toy_trainer(world))
    return {"scheduler": build_scheduler, "scheduler-2": build_scheduler}


def ended(item: Recorded) -> bool:
    event = item.event
    if isinstance(event, JobFailed):
        return event.final
    return isinstance(event, JobSucceeded | JobCancelled | JobRejected)


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, "node.registered", "queue.configured")
    facts_once(log, "job.placed", "job.queued", field="attempt")
    assert not log.dead_letters
    for name, ways in ENDS.items():
        ends = [item.type for item in log if ended(item) and item.event.id == name]
        assert len(ends) == 1, f"{name} ended {ends}"
        assert ends[0] in ways
    pages = [item.event for item in log if isinstance(item.event, PlanCommitted)]
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert sum(page.placed for page in pages) == sum(item.type == "job.placed" for item in log)
    ids = {item.id for item in log}
    for item in log:
        if item.type.startswith("job.") and item.causation_id is not None:
            assert item.causation_id in ids
    each_job_has_its_own_story(log)
    never_oversubscribed(log)


def each_job_has_its_own_story(log: SimLog) -> None:
    """Also where one plan places several jobs at once."""
    queued: dict[tuple[str, str, int], Recorded] = {}
    for item in log:
        if isinstance(item.event, JobQueued):
            queued[item.namespace, item.event.job, item.event.attempt] = item
        elif isinstance(item.event, JobPlaced):
            cause = queued[item.namespace, item.event.job, item.event.attempt]
            assert item.causation_id == cause.id
            assert item.correlation_id == cause.correlation_id


def never_oversubscribed(log: SimLog) -> None:
    places: dict[tuple[str, str], JobPlaced] = {}
    queues = {
        (i.namespace, i.event.job): i.event.queue for i in log if isinstance(i.event, JobRequested)
    }
    for item in log:
        key = (item.namespace, item.event.id)
        if isinstance(item.event, JobPlaced):
            assert key not in places, f"{key} placed beside itself"
            places[key] = item.event
        elif isinstance(item.event, JobSucceeded | JobFailed | JobCancelled):
            places.pop(key, None)
        gpus = [index for place in places.values() for index in place.gpus]
        assert len(gpus) == len(set(gpus)), f"sequence {item.sequence}: GPUs {gpus}"
        assert set(gpus) <= set(range(NODE.gpu))
        assert sum(place.resources.cpu for place in places.values()) <= NODE.cpu
        small = [p for k, p in places.items() if queues[k] == "small"]
        assert sum(place.resources.gpu for place in small) <= 1


ONE = Scenario(setup_one, PUBLISH)
TWO = Scenario(setup_two, PUBLISH)


def test_every_job_ends_as_it_should_and_says_why_it_waited() -> None:
    log = ONE.run()
    check(log)
    (first,) = [i for i in log if i.type == "job.queued" and i.event.id == "whole"]
    assert first.event.reason.startswith("needs 2 CPUs and 2 GPUs")
    nodes = [item for item in log if isinstance(item.event, NodeRegistered)]
    assert [item.namespace for item in nodes] == [SYSTEM_NAMESPACE]
    (refused,) = [i.event for i in log if i.type == "job.rejected" and i.event.id == "impossible"]
    assert (refused.field, refused.fix) == ("resources.gpu", "ask for at most 2 GPUs")


def test_a_crash_at_every_port_call_loses_and_doubles_nothing() -> None:
    assert_survives_crashes(ONE, check)


def test_faults_of_the_bus_lose_and_double_nothing(sim_seeds: range) -> None:
    assert_survives_seeds(ONE, check, sim_seeds)


def test_two_schedulers_at_once_share_one_ledger() -> None:
    assert_survives_crashes(TWO, check)


def test_two_schedulers_at_once_survive_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(TWO, check, sim_seeds)


def test_plans_follow_one_another_in_the_log() -> None:
    log = TWO.run(3)
    pages = [item for item in log if isinstance(item.event, PlanCommitted)]
    assert all(later.sequence > earlier.sequence for earlier, later in pairwise(pages))
