"""What a newcomer does first, by the command line alone, against a whole real platform."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import Platform, UpOptions, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
TRAINS = """
import penstock

with penstock.run() as run:
    for step in range(3):
        run.log(step=step, loss=1 / (step + 1))
        print("step", step, flush=True)
    run.result(loss=0.25)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform() -> AsyncIterator[Platform]:
    with DataDir.ephemeral() as directory:
        options = UpOptions(services=["scheduler", "trainer", "gateway"])
        async with running_platform(directory, options) as running:
            yield running


class Terminal:
    """Runs `penstock` as a person would, in a folder of theirs."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        endpoints = platform.directory.read_endpoints()
        assert endpoints is not None
        self._folder = folder
        self._environment = os.environ | {"PENSTOCK_URL": endpoints.gateway_url}

    async def run(self, *words: str, status: int = 0) -> tuple[str, str]:
        """Standard output and standard error of a command that must end with `status`."""
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("penstock"), *words),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == status, err.decode()
        return out.decode(), err.decode()


@pytest.fixture
def terminal(platform: Platform, tmp_path: Path) -> Terminal:
    (tmp_path / "train.py").write_text(TRAINS)
    return Terminal(platform, tmp_path)


async def test_a_script_runs_as_a_job_and_tells_all_about_it(terminal: Terminal) -> None:
    id, story = await terminal.run("job", "run", "--wait", "--timeout", "1m", "train.py")
    assert "job.succeeded" in story
    id = id.strip()
    assert (await terminal.run("job", "logs", id))[0] == "step 0\nstep 1\nstep 2\n"
    points = json.loads((await terminal.run("job", "metrics", "--json", id))[0])["points"]
    assert [point["metrics"]["loss"] for point in points] == [1, 1 / 2, 1 / 3]
    shown = json.loads((await terminal.run("job", "show", "--json", id))[0])
    assert (shown["status"], shown["metrics"]) == ("succeeded", {"loss": 0.25})
    assert "succeeded" in (await terminal.run("job", "why", id))[0]
    tree, _ = await terminal.run("event", "tree", id)
    assert [word in tree for word in ("job.requested", "job.placed", "job.succeeded")] == [True] * 3


async def test_the_output_of_a_running_job_can_be_read(
    terminal: Terminal, tmp_path: Path, platform: Platform
) -> None:
    go_on = tmp_path / "go-on"
    (tmp_path / "waits.py").write_text(
        "import pathlib, sys, time\n"
        "print('waiting', flush=True)\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\n"
    )
    await terminal.run("job", "run", "--name", "waits", "waits.py")
    async with asyncio.timeout(20):
        while (await terminal.run("job", "logs", "waits"))[0] != "waiting\n":
            pass
    shown = json.loads((await terminal.run("job", "show", "--json", "waits"))[0])
    assert shown["status"] == "running"
    go_on.touch()


async def test_a_failure_shows_what_the_script_said(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("raise SystemExit('there is no data')")
    words = ["--max-attempts", "1", "--timeout", "1m", "fails.py"]
    _, story = await terminal.run("job", "run", "--wait", *words, status=1)
    assert "there is no data" in story


async def test_a_namespace_is_given_before_the_noun_or_after_the_verb(terminal: Terminal) -> None:
    await terminal.run("-n", "lab", "job", "run", "--name", "one", "--wait", "train.py")
    before = json.loads((await terminal.run("-n", "lab", "job", "ls", "--json"))[0])
    after = json.loads((await terminal.run("job", "ls", "--json", "-n", "lab"))[0])
    assert before["items"] == after["items"]
    assert [row["id"] for row in before["items"]] == ["one"]


async def test_no_job_outlives_a_temporary_platform() -> None:
    options = UpOptions(services=["scheduler", "trainer", "gateway"])
    with DataDir.ephemeral() as directory:
        async with running_platform(directory, options) as running:
            terminal = Terminal(running, directory.path)
            (directory.path / "sleeps.py").write_text(
                "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
            )
            await terminal.run("job", "run", "--name", "sleeps", "sleeps.py")
            async with asyncio.timeout(20):
                while not (said := (await terminal.run("job", "logs", "sleeps"))[0]):
                    pass
            os.kill(int(said), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(said), 0)


async def test_what_can_never_fit_is_refused_with_the_reason(terminal: Terminal) -> None:
    _, story = await terminal.run("job", "run", "--gpu", "99", "--wait", "train.py", status=5)
    assert "needs 99 GPUs on one node" in story
