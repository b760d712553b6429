"""Traces follow events from service to service, to a collector that really answers.

The collector is an HTTP server that reads OTLP; the services are the tuner and the scheduler as
they are run, on the simulated bus in ordinary time.
"""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from penstock_chassis.adapters.otlp import TRACES_PATH, exported_traces, traces_url
from penstock_chassis.discovery import load_service
from penstock_chassis.errors import ChassisError
from penstock_chassis.message import Draft, read_recorded, to_message
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_schemas import ExperimentRequested

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"
STEP_SECONDS = 30.0
END_SECONDS_MAX = 10.0


class Collector:
    """An OTLP/HTTP collector on loopback; `spans` are what it was sent."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    said = {a.key: a.value.string_value for a in span.attributes}
                    self.spans.append(
                        {
                            "name": span.name,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "service": said["penstock.service"],
                            "process": process["service.name"],
                            "message": said["messaging.message.id"],
                        }
                    )

    @contextmanager
    def running(self) -> Iterator["Collector"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


async def run_an_experiment(work: Path, traceparent: str | None) -> SimWorld:
    """An experiment is asked for; the tuner asks for jobs, the scheduler queues and places them."""
    world = SimWorld()
    runners = []
    for name in ("tuner", "scheduler"):
        spec, ports = load_service(name), world.ports(name)
        runners.append(ServiceRunner(spec.build(spec.settings(work_dir=work), ports), ports))
    running = [asyncio.create_task(runner.run()) for runner in runners]
    async with asyncio.timeout(STEP_SECONDS):
        for runner in runners:
            await runner.ready.wait()
        wish = ExperimentRequested.model_validate(
            {**ExperimentRequested.example, "max_trials": 1, "parallel_trials": 1}
        )
        ports = world.ports("client")
        message = to_message(
            Draft(wish, "vision"),
            source="client",
            cause=None,
            id="wish-1",
            now=ports.clock.now(),
            traceparent=traceparent,
        )
        await ports.log.append([message])
        async for stored in ports.log.follow(["penstock.>"]):
            if ".job.placed." in stored.subject:
                break
    for runner in runners:
        await runner.drain()
    await asyncio.gather(*running)
    return world


async def test_two_services_handle_one_story_in_one_trace(tmp_path: Path) -> None:
    with Collector().running() as collector:
        with exported_traces(collector.url, "penstock-test"):
            world = await run_an_experiment(tmp_path, f"00-{TRACE}-{CLIENT_SPAN}-01")
        spans = collector.spans
    assert collector.paths == {TRACES_PATH}
    assert {span["process"] for span in spans} == {"penstock-test"}
    story = [span for span in spans if span["trace"] == TRACE]
    assert {span["service"] for span in story} == {"tuner", "scheduler"}
    first = next(span for span in story if span["name"] == "process experiment.requested")
    assert first["parent"] == CLIENT_SPAN
    requested = next(span for span in story if span["name"] == "process job.requested")
    assert (requested["service"], requested["parent"]) == ("scheduler", first["id"])
    # What a handler appends carries its span on: whoever handles it next is its child.
    by_id = {span["id"]: span for span in story}
    for recorded in map(read_recorded, world.stored()):
        if recorded.causation_id and recorded.namespace == "vision":
            assert recorded.traceparent is not None
            _, trace, parent, _ = recorded.traceparent.split("-")
            assert trace == TRACE
            assert by_id[parent]["message"] == recorded.causation_id


async def test_without_a_collector_no_span_is_made_and_the_callers_trace_goes_on(
    tmp_path: Path,
) -> None:
    given = f"00-{TRACE}-{CLIENT_SPAN}-01"
    with exported_traces("", "penstock-test"):
        world = await run_an_experiment(tmp_path, given)
    carried = {r.traceparent for r in map(read_recorded, world.stored()) if r.namespace == "vision"}
    assert carried == {given}


async def test_spans_end_with_the_block(tmp_path: Path) -> None:
    with Collector().running() as collector:
        with exported_traces(collector.url, "penstock-test"):
            pass
        await run_an_experiment(tmp_path, None)
    assert collector.spans == []


async def test_a_collector_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    with Collector().running() as collector:
        nobody = collector.url
    started = time.monotonic()
    with exported_traces(nobody, "penstock-test"):
        world = await run_an_experiment(tmp_path, None)
        worked = time.monotonic()
    assert any(".job.placed." in stored.subject for stored in world.stored())
    assert time.monotonic() - worked < END_SECONDS_MAX, "the end waits within its bound"
    assert worked - started < STEP_SECONDS


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://otel.example.org/base", "https://otel.example.org/base/v1/traces"),
        ("http://collector:4318/v1/traces", "http://collector:4318/v1/traces"),
    ],
)
def test_the_endpoint_is_a_base_address_or_the_whole_url(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "http://"])
def test_an_endpoint_that_is_no_url_is_refused_with_an_example(endpoint: str) -> None:
    with pytest.raises(ChassisError, match=r"e\.g\. http://127\.0\.0\.1:4318"):
        traces_url(endpoint)


def test_the_command_refuses_a_bad_endpoint_before_anything_starts(tmp_path: Path) -> None:
    penstock = Path(sys.executable).with_name("penstock")
    ended = subprocess.run(
        [penstock, "up", "--data-dir", tmp_path],
        check=False,
        env=os.environ | {"PENSTOCK_OTEL_ENDPOINT": "collector:4318"},
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
    )
    assert ended.returncode == 1
    assert "PENSTOCK_OTEL_ENDPOINT is 'collector:4318'" in ended.stderr


def test_nothing_of_the_sdk_is_imported_where_no_collector_is_named() -> None:
    code = (
        "import sys; from penstock_chassis.adapters.otlp import exported_traces\n"
        "with exported_traces('', 'x'): pass\n"
        "assert not [m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'google'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
