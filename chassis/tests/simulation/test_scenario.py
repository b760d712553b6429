"""A run of a scenario: when it is over, and what it does not let pass."""

import asyncio

import pytest

from penstock_chassis.fold import Fold
from penstock_chassis.message import Recorded
from penstock_chassis.ports import Message, Ports
from penstock_chassis.service import Service
from penstock_chassis.testing import (
    Pause,
    Scenario,
    ScenarioError,
    Until,
    causes_known,
    crash_everywhere,
    facts_once,
    no_duplicate_ids,
    wishes_answered,
)
from penstock_schemas import JobRequested, JobStarted, Program

WISH = JobRequested(job="0190c2a4-7b1e-7c30-8f00-000000000001", program=Program(command=("train",)))


def service(name: str = "idle", **options: object) -> Service:
    def keep(state: None, recorded: Recorded) -> None:
        return state

    return Service(name, folds=[Fold(["job"], None, keep)], **options)  # type: ignore[arg-type]


def test_the_wishes_stand_in_the_log_in_order_and_time() -> None:
    again = WISH.model_copy(update={"job": "second"})
    log = Scenario(
        lambda world: {"idle": lambda ports: service()},
        publish=[WISH, Pause(60), Until(lambda log: len(log) == 1), again],
    ).run()
    assert [item.event.id for item in log] == [WISH.job, "second"]
    assert (log[1].time - log[0].time).total_seconds() >= 60


def test_what_is_no_event_is_kept_apart() -> None:
    wrong = Message("penstock.default.job.requested.x", b"{", {}, "1")
    log = Scenario(lambda world: {"idle": lambda ports: service()}, publish=[wrong]).run()
    assert list(log) == []
    assert [stored.payload for stored in log.unreadable] == [b"{"]


def test_a_run_that_never_satisfies_its_predicate_fails() -> None:
    scenario = Scenario(
        lambda world: {"idle": lambda ports: service()}, until=lambda log: False, limit_seconds=60
    )
    with pytest.raises(ScenarioError, match="not at rest after 60"):
        scenario.run()


def test_a_message_that_is_never_acknowledged_keeps_a_run_from_its_end() -> None:
    async def on_job_requested(message: Recorded) -> None:
        await asyncio.Event().wait()

    scenario = Scenario(
        lambda world: {"stuck": lambda ports: service(handlers={JobRequested: on_job_requested})},
        publish=[WISH],
        limit_seconds=300,
    )
    with pytest.raises(ScenarioError, match="consumer idle has 1 messages not acknowledged"):
        scenario.run()


def test_a_service_that_fails_fails_the_run() -> None:
    async def fails() -> None:
        await asyncio.sleep(1)
        raise KeyError("the background work")

    scenario = Scenario(lambda world: {"idle": lambda ports: service(background=[fails])})
    with pytest.raises(KeyError, match="the background work"):
        scenario.run()


def test_every_service_of_a_scenario_is_crashed() -> None:
    def setup(world: object) -> dict[str, object]:
        return {"a": lambda ports: service("a"), "b": lambda ports: service("b")}

    def check(log: object) -> None:
        assert not log.crashes  # type: ignore[attr-defined]

    scenario = Scenario(setup, publish=[WISH])  # type: ignore[arg-type]
    assert {failure.service for failure in crash_everywhere(scenario, check)} == {"a", "b"}


def test_a_failure_that_no_task_waits_for_fails_the_run() -> None:
    def build(ports: Ports) -> Service:
        async def loses_a_task() -> None:
            asyncio.create_task(_raise())  # noqa: RUF006 - losing it is the point
            await asyncio.Event().wait()

        return service(background=[loses_a_task])

    with pytest.raises(ScenarioError, match="nobody noticed"):
        Scenario(lambda world: {"idle": build}).run()


async def _raise() -> None:
    raise ValueError("lost")


def test_the_checkers_find_what_they_are_for() -> None:
    started = JobStarted(job=WISH.job, attempt=1, node="n")
    log = Scenario(
        lambda world: {"idle": lambda ports: service()}, publish=[WISH, started, started]
    ).run()
    no_duplicate_ids(log)
    causes_known(log)
    with pytest.raises(AssertionError, match=r"job\.started more than once"):
        facts_once(log, JobStarted)
    with pytest.raises(AssertionError, match=r"job\.started more than once"):
        facts_once(log, "job.started", field="attempt")
    with pytest.raises(AssertionError, match="has 2 answers"):
        wishes_answered(log, JobRequested, JobStarted)
    with pytest.raises(AssertionError, match="has 0 answers"):
        wishes_answered(log, JobRequested, "job.succeeded")
    with pytest.raises(AssertionError, match="ids that occur twice"):
        no_duplicate_ids([*log, log[0]])
