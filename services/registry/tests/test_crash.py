"""The whole registry on the simulated bus: crashes anywhere and faults; a toy trainer judges."""

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
from penstock_registry.app import build
from penstock_registry.settings import RegistrySettings
from penstock_schemas import (
    Event,
    ExperimentCompleted,
    ExperimentRequested,
    Gate,
    JobFailed,
    JobRequested,
    JobSucceeded,
    ModelPromoted,
    ModelRegistered,
    ModelTarget,
    Objective,
    ObjectRef,
    Program,
    PromotionRefused,
    PromotionRejected,
    PromotionRequested,
    TrialCompleted,
    TrialStarted,
    derived_id,
)

OBJECTIVE = Objective(metric="auc")
GATE = Gate(program=Program(command=("judge",)), objective=OBJECTIVE, min_gain=0.01)
BROKEN = Gate(program=Program(command=("break",)), objective=OBJECTIVE)


def ref(number: int, namespace: str = "default") -> ObjectRef:
    """The artifact of a model whose auc is `number` percent."""
    digest = f"blake3:{number:064x}"
    uri = f"s3://penstock/{namespace}/blake3/{number}"
    return ObjectRef(uri=uri, digest=digest, size_bytes=1, kind="folder")


def auc(artifact: ObjectRef) -> float:
    return int(artifact.digest.split(":")[1], 16) / 100


def train(
    job: str, gate: Gate | None, model: str = "m", namespace: str = "default"
) -> JobRequested:
    program = Program(command=("train", job.removeprefix("j")), source=ref(7, namespace))
    target = ModelTarget(model=model, gate=gate)
    return JobRequested(
        job=job,
        program=program,
        params={"depth": 3},
        inputs={"training": ref(8, namespace)},
        target=target,
    )


async def toy_trainer(world: SimWorld) -> None:
    """A trainer whose jobs end at once, each once: `train N` yields the model of N percent."""
    seen, done = 0, set()
    while True:
        grown = world.events.grown
        for stored in world.stored():
            if stored.sequence <= seen:
                continue
            seen = stored.sequence
            message = read_recorded(stored)
            if isinstance(message.event, JobRequested) and message.event.job not in done:
                done.add(message.event.job)
                say(world, message, outcome(message.event, message.namespace))
        await grown.wait()


def outcome(job: JobRequested, namespace: str) -> Event:
    what = job.program.command[0]
    if what == "break":
        return JobFailed(job=job.job, attempt=1, reason="killed by signal 9", final=True)
    if what == "train":
        output = ref(int(job.program.command[1]), namespace)
        return JobSucceeded(
            job=job.job, attempt=1, metrics={"auc": auc(output)}, output=output, seconds=1
        )
    metrics = {
        f"{name}_auc": auc(job.inputs[name])
        for name in ("candidate", "incumbent")
        if name in job.inputs
    }
    return JobSucceeded(job=job.job, attempt=1, metrics=metrics, seconds=1)


def say(world: SimWorld, message: Recorded, event: Event) -> None:
    world.append(
        to_message(
            Draft(event, message.namespace),
            source="penstock/toy-trainer",
            cause=message.cause,
            id=derived_id(message.id, "end"),
            now=SimClock().now(),
            guard=None,
        )
    )


def build_registry(ports: SimPorts) -> Service:
    return build(RegistrySettings(), ports)


def setup(world: SimWorld) -> dict[str, object]:
    world.spawn(toy_trainer(world))
    return {"registry": build_registry}


def ended(count: int) -> Until:
    """Wait for so many ends of promotions."""
    return Until(lambda log: len([i for i in log if is_end(i)]) >= count)


def is_end(item: Recorded) -> bool:
    return isinstance(item.event, ModelPromoted | PromotionRefused | PromotionRejected)


PUBLISH = [
    train("j70", GATE),
    ended(1),
    train("j60", GATE),
    ended(2),
    train("j80", GATE),
    train("j80", GATE),
    ended(3),
    PromotionRequested(promotion="p-unknown", model="m", model_version=9),
    PromotionRequested(promotion="p-back", model="m", model_version=1),
    ended(5),
    train("j90", BROKEN),
    ended(6),
    Draft(train("j10", None, namespace="other"), "other"),
    ended(7),
]


def check(log: SimLog) -> None:
    no_duplicate_ids(log)
    facts_once(log, ModelRegistered, field="model_version")
    assert not log.dead_letters
    mine = [item.event for item in log if item.namespace == "default"]
    registered = [event for event in mine if isinstance(event, ModelRegistered)]
    assert [event.model_version for event in registered] == [1, 2, 3, 4]
    assert [auc(event.artifact) for event in registered] == [0.7, 0.6, 0.8, 0.9]
    lineage = registered[0].lineage
    assert (lineage.job, lineage.source) == ("j70", ref(7).digest)
    assert lineage.inputs == {"training": ref(8).digest}
    assert lineage.params == {"depth": 3}
    promoted = [event for event in mine if isinstance(event, ModelPromoted)]
    named = {event.promotion: event for event in promoted}
    assert sorted((e.model_version, e.previous_version or 0) for e in promoted) == [
        (1, 0),
        (1, 3),
        (3, 1),
    ]
    assert named["p-back"].reason == "promoted without a gate, as asked"
    assert promoted[0].reason == "auc 0.7; there is no incumbent to beat"
    assert promoted[1].evidence == {"candidate_auc": 0.8, "incumbent_auc": 0.7}
    refused = [event for event in mine if isinstance(event, PromotionRefused)]
    assert refused[0].reason == "auc 0.6 does not beat 0.7 of version 1 by more than 0.01"
    assert "failed: killed by signal 9" in refused[1].reason
    rejected = [event for event in mine if isinstance(event, PromotionRejected)]
    assert [event.reason for event in rejected] == [
        "model m has no version 9; the newest is 4"
        if registered[3] in mine[: mine.index(rejected[0])]
        else "model m has no version 9; the newest is 3"
    ]
    ends = [item.event for item in log if is_end(item)]
    ids = [getattr(event, "promotion") for event in ends]  # noqa: B009 three classes of one field
    assert len(ids) == len(set(ids)) == 7
    others = [item.event for item in log if item.namespace == "other"]
    assert [e.model_version for e in others if isinstance(e, ModelRegistered)] == [1]


SCENARIO = Scenario(setup, PUBLISH)


def test_versions_are_registered_and_judged_once_each() -> None:
    check(SCENARIO.run())


def test_the_registry_survives_a_crash_at_every_port_call() -> None:
    assert_survives_crashes(SCENARIO, check)


def test_the_registry_survives_faults_of_the_bus(sim_seeds: range) -> None:
    assert_survives_seeds(SCENARIO, check, sim_seeds)


def test_candidates_in_a_race_are_each_judged_against_the_incumbent_of_the_moment(
    sim_seeds: range,
) -> None:
    def racing(log: SimLog) -> None:
        no_duplicate_ids(log)
        assert not log.dead_letters
        promoted = [item.event for item in log if isinstance(item.event, ModelPromoted)]
        previous = None
        for event in promoted:
            assert event.previous_version == previous
            previous = event.model_version
            if event.previous_version is not None:
                evidence = event.evidence
                assert evidence["candidate_auc"] > evidence["incumbent_auc"] + 0.01
        best = max(
            (item.event for item in log if isinstance(item.event, ModelRegistered)),
            key=lambda event: auc(event.artifact),
        )
        assert promoted[-1].model_version == best.model_version
        assert len([item for item in log if is_end(item)]) == 4

    jobs = [train(f"j{number}", GATE) for number in (50, 60, 70, 80)]
    assert_survives_seeds(Scenario(setup, jobs), racing, sim_seeds)


def test_the_best_trial_of_an_experiment_becomes_a_version_with_its_lineage() -> None:
    program = Program(command=("idle",), source=ref(7))
    space = {"depth": {"kind": "int", "low": 1, "high": 9}}
    experiment = ExperimentRequested.model_validate(
        {
            "experiment": "e",
            "program": program,
            "space": space,
            "objective": OBJECTIVE,
            "max_trials": 1,
            "params": {"seed": 1},
            "inputs": {"training": ref(8)},
            "target": {"model": "m"},
        }
    )
    completed = ExperimentCompleted(
        experiment="e",
        best_trial="e-0",
        succeeded=1,
        failed=0,
        pruned=0,
        seconds=1,
        reason="all 1 trials ended",
    )
    publish = [
        experiment,
        TrialStarted(
            trial="e-0", experiment="e", number=0, params={"depth": 4}, job="tj", sampler="tpe"
        ),
        TrialCompleted(
            trial="e-0",
            experiment="e",
            number=0,
            value=0.5,
            metrics={"auc": 0.5},
            job="tj",
            output=ref(50),
        ),
        completed,
        Pause(1),
        completed,
    ]

    def best(log: SimLog) -> None:
        no_duplicate_ids(log)
        [registered] = [item.event for item in log if isinstance(item.event, ModelRegistered)]
        assert registered.artifact == ref(50)
        lineage = registered.lineage
        assert (lineage.job, lineage.trial, lineage.experiment) == ("tj", "e-0", "e")
        assert lineage.params == {"seed": 1, "depth": 4}
        assert lineage.source == ref(7).digest
        assert len([item for item in log if isinstance(item.event, ModelPromoted)]) == 1

    assert_survives_crashes(Scenario(setup, publish), best)
