"""A second whole trainer beside a running platform, with a disk of its own: nothing runs twice, and
what is placed on a node is run by its trainer, whichever of them hears of it."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock import AsyncClient
from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import Platform, UpOptions, running_platform
from penstock_schemas import JobRequested, Program, Resources

sys.path.insert(0, str(Path(__file__).parent))
from runs import double_runs, overlapping_runs, runs_below

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
JOBS_MAX = 30
"""Jobs until both trainers have claimed one; each is claimed by either."""
NODE_JOBS = 8
"""Half of them on each node; half of those are told to the other node's trainer."""
CANCEL_SECONDS_MAX = 30.0
"""Below the time after which the other trainer would answer for one that is gone."""
WAITS = "import time\ntime.sleep(600)\n"
PENSTOCK = Path(sys.executable).with_name("penstock")


class Gateway:
    """What is asked of the platform over HTTP and by the command line."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        endpoints = platform.directory.read_endpoints()
        assert endpoints is not None
        self.url = endpoints.gateway_url
        self._folder = folder
        self._http = httpx.AsyncClient(base_url=self.url)
        self.close = self._http.aclose

    async def penstock(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(PENSTOCK, *words),
            cwd=self._folder,
            env=os.environ | {"PENSTOCK_URL": self.url},
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await process.wait() == 0, words

    async def events(self, type: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/v1/default/event", params={"limit": 500})
        return [event for event in answer.json()["items"] if event["type"] == type]

    async def until(self, type: str, job: str) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                for event in await self.events(type):
                    if event["subject_id"] == job:
                        return event
                await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def second_trainer(platform: Platform, work: Path, nodes: str = "") -> AsyncIterator[None]:
    """`penstock service run trainer` on the platform's bus, from when it is ready."""
    shared = platform.settings.model_dump(mode="python")
    environment = os.environ | {
        "PENSTOCK_NATS_URL": shared["nats_url"],
        "PENSTOCK_OBJECTS_ENDPOINT": shared["objects_endpoint"],
        "PENSTOCK_OBJECTS_ACCESS_KEY": shared["objects_access_key"],
        "PENSTOCK_OBJECTS_SECRET_KEY": shared["objects_secret_key"].get_secret_value(),
        "PENSTOCK_OBJECTS_BUCKET": shared["objects_bucket"],
        "PENSTOCK_TRAINER_WORK_DIR": str(work),
        "PENSTOCK_TRAINER_NODES": nodes,
        "PENSTOCK_LOG_JSON": "true",
    }
    log = work.with_suffix(".log")
    with log.open("wb") as output:
        trainer = await asyncio.create_subprocess_exec(
            *(PENSTOCK, "service", "run", "trainer"),
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(WAIT_SECONDS), httpx.AsyncClient() as http:
            while True:
                assert trainer.returncode is None, log.read_text()
                found = re.search(r"http://[^\s\"]+/readyz", log.read_text())
                if found and (await http.get(found[0])).is_success:
                    break
                await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        trainer.send_signal(signal.SIGTERM)
        await trainer.wait()


async def test_two_trainers_with_disks_of_their_own_never_run_one_attempt_both(
    tmp_path: Path,
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    (tmp_path / "short.py").write_text("print('done')\n")
    second = tmp_path / "second"
    services = ["scheduler", "trainer", "gateway"]
    with DataDir.ephemeral() as directory:
        async with (
            running_platform(directory, UpOptions(services=services)) as platform,
            AsyncExitStack() as closing,
        ):
            gateway = Gateway(platform, tmp_path)
            closing.push_async_callback(gateway.close)
            await gateway.penstock("job", "run", "--name", "waits", "waits.py")
            await gateway.until("job.started", "waits")
            async with second_trainer(platform, second):
                claimants: set[str] = set()
                for number in range(JOBS_MAX):
                    name = f"short-{number}"
                    await gateway.penstock("job", "run", "--name", name, "--wait", "short.py")
                    claimants.add((await gateway.until("job.started", name))["data"]["trainer"])
                    if len(claimants) == 2:
                        break
                assert len(claimants) == 2, "one trainer did everything: nothing is shown"
                await gateway.penstock("job", "cancel", "waits")
                async with asyncio.timeout(CANCEL_SECONDS_MAX):
                    await gateway.until("job.cancelled", "waits")
            first = directory.path / "work" / "trainer"
            runs = [*runs_below(first / "jobs"), *runs_below(second / "jobs")]
            assert {run.job for run in runs} >= {"waits", "short-0"}
            assert double_runs(runs) + overlapping_runs(runs) == []
            started = await gateway.events("job.started")
            assert len(runs) == len(started), json.dumps([str(run) for run in runs])


async def test_trainers_of_different_nodes_run_all_that_is_placed_on_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"node": "left", "cpu": 2}, {"node": "right", "cpu": 2}]
    monkeypatch.setenv("PENSTOCK_SCHEDULER_NODES", json.dumps(nodes))
    monkeypatch.setenv("PENSTOCK_TRAINER_NODES", "left")
    second = tmp_path / "second"
    jobs = [f"short-{number}" for number in range(NODE_JOBS)]
    services = ["scheduler", "trainer", "gateway"]
    with DataDir.ephemeral() as directory:
        async with (
            running_platform(directory, UpOptions(services=services)) as platform,
            AsyncExitStack() as closing,
            second_trainer(platform, second, "right"),
        ):
            gateway = Gateway(platform, tmp_path)
            closing.push_async_callback(gateway.close)
            program = Program(command=("{python}", "-c", "import time; time.sleep(0.3)"))
            async with AsyncClient(gateway.url) as client:
                for job in jobs:
                    whole = JobRequested(job=job, program=program, resources=Resources(cpu=2))
                    await client.publish(whole)
            for job in jobs:
                await gateway.until("job.succeeded", job)
            placed = {event["subject_id"]: event for event in await gateway.events("job.placed")}
            nodes_of = {job: placed[job]["data"]["node"] for job in jobs}
            assert set(nodes_of.values()) == {"left", "right"}, "one node got everything"
            disks = {"left": directory.path / "work" / "trainer", "right": second}
            for node, work in disks.items():
                ran = {run.job for run in runs_below(work / "jobs")}
                assert ran == {job for job in jobs if nodes_of[job] == node}
