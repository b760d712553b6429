"""The catalogue says who sends and who receives what; the services' code says it too. Here they
are compared, both ways.

Received is what a service, built as it is run, has handlers for. Sent is every contract that its
source constructs, found by reading the source. What anyone may say and somebody else words (the
HTTP API, triggers) is constructed nowhere: it is the gateway's, by `ANYONE` in `SENDS`.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.service import Service
from penstock_chassis.testing import SimWorld
from penstock_gateway.handlers import TriggerDesk
from penstock_schemas import ANYONE, Event, event_types
from penstock_schemas.catalog.asyncapi import LISTENS, SENDS

ROOT = Path(__file__).parents[2]
OPERATIONS = json.loads((ROOT / "schemas/catalog/asyncapi.json").read_text())["operations"]
CLASSES = {cls.__name__: cls for cls in event_types().values()}
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())
EACH = pytest.mark.parametrize("service", SERVICES)

NOT_SAID_YET = {
    "job.checkpointed": "the trainer watches checkpoints in a later issue",
    "job.preempted": "the planner does not preempt yet",
    "model.demoted": "the registry has no demotion yet",
    "node.drained": "the scheduler has no draining yet",
    "node.lost": "the scheduler has no heartbeats of nodes yet",
    "trial.pruned": "the tuner does not prune yet",
}
"""Facts whose contract is ahead of its service. One that is said leaves this list."""


def build(service: str, work: Path) -> Service:
    """The service as it is run, on the simulated bus."""
    spec = load_service(service)
    assert spec.name == service
    return spec.build(spec.settings(work_dir=work), SimWorld().ports(service))


def handled_by(service: str, work: Path) -> set[type[Event]]:
    """What the service handles; the gateway's triggers follow the log without a handler each."""
    own = set(build(service, work).handlers)
    return own | set(TriggerDesk.answers) if service == "gateway" else own


def constructed(source: str) -> Iterator[type[Event]]:
    """The contracts that a module's calls construct: `JobQueued(…)`, `JobQueued.model_…(…)`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr.startswith("model_"):
            called = called.value
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        if name in CLASSES:
            yield CLASSES[name]


def said_by(service: str) -> set[str]:
    """The types that the service's own code constructs; its fakes are not its code."""
    files = (ROOT / "services" / service / "src").rglob("*.py")
    return {
        cls.type
        for path in files
        if not {"testing", "testing.py"} & set(path.parts)
        for cls in constructed(path.read_text("utf-8"))
    }


def operations(service: str, action: str) -> set[str]:
    """The types that the catalogue's document gives a service."""
    start = f"{service}.{action}."
    return {name.removeprefix(start) for name in OPERATIONS if name.startswith(start)}


def test_every_service_of_the_tree_is_installed_under_its_name() -> None:
    assert installed_names() == SERVICES
    assert LISTENS.keys() | SENDS.keys() <= set(SERVICES)


@EACH
def test_a_service_handles_what_the_catalogue_says_that_it_receives(
    service: str, tmp_path: Path
) -> None:
    handled = {event.type for event in handled_by(service, tmp_path)}
    assert handled == operations(service, "receive")
    answered = {type for type in handled if type.endswith(".requested")}
    assert handled - answered == set(LISTENS.get(service, ()))


@EACH
def test_a_wish_is_handled_by_the_service_that_may_refuse_it(service: str, tmp_path: Path) -> None:
    for event in handled_by(service, tmp_path):
        if event.type.endswith(".requested"):
            assert event_types()[f"{event.noun()}.rejected"].owner == service


@EACH
def test_a_service_says_only_what_is_its_own_or_declared(service: str) -> None:
    declared = set(SENDS.get(service, ()))
    for type in said_by(service):
        cls = event_types()[type]
        if service in cls.appenders():
            assert type not in declared, f"{type} is {service}'s own: SENDS need not repeat it"
        else:
            assert cls.owner == ANYONE, f"{service} says {type}, which is {cls.owner}'s to say"
            assert {type, ANYONE} & declared, f"{service} says {type}: add it to SENDS"
    assert said_by(service) <= operations(service, "send")


@EACH
def test_a_service_says_all_that_the_catalogue_says_that_it_sends(service: str) -> None:
    own = {type for type, cls in event_types().items() if service in cls.appenders()}
    promised = own | {type for type in SENDS.get(service, ()) if type != ANYONE}
    assert promised - said_by(service) == NOT_SAID_YET.keys() & promised


def test_what_is_not_said_yet_is_said_by_nobody() -> None:
    said = set().union(*(said_by(service) for service in SERVICES))
    assert said.isdisjoint(NOT_SAID_YET)
    assert NOT_SAID_YET.keys() <= event_types().keys()


def test_the_gateway_alone_passes_on_what_anyone_may_say() -> None:
    assert [service for service, types in SENDS.items() if ANYONE in types] == ["gateway"]
    free = {type for type, cls in event_types().items() if cls.owner == ANYONE}
    assert free <= operations("gateway", "send")


def test_the_scan_sees_each_way_of_constructing_a_contract() -> None:
    source = (
        "x = JobQueued(job='a')\ny = JobPlaced.model_validate({})\n"
        "z = nouns.JobFailed(job='a')\nisinstance(w, JobStarted)\nJobCancelled.type\n"
    )
    found = {cls.type for cls in constructed(source)}
    assert found == {"job.queued", "job.placed", "job.failed"}
