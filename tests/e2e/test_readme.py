"""What the README shows works as it stands, in order, on a whole real platform."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import UpOptions, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PUBLISH, TRAIN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(WEBHOOK,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment() -> AsyncIterator[dict[str, str]]:
    with DataDir.ephemeral() as directory:
        options = UpOptions(services=["scheduler", "trainer", "gateway"])
        async with running_platform(directory, options):
            endpoints = directory.read_endpoints()
            assert endpoints is not None
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            yield os.environ | {"PENSTOCK_URL": endpoints.gateway_url, "PATH": path}


async def run(folder: Path, environment: dict[str, str], *command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment | {"XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_an_event_is_published_and_another_comes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    assert " took " in await run(tmp_path, environment, sys.executable, "-c", PUBLISH)


async def test_the_training_script_runs_by_hand_and_as_a_job(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    alone = {name: value for name, value in environment.items() if name != "PENSTOCK_URL"}
    await run(tmp_path, alone, sys.executable, "train.py")
    words = ("penstock", "job", "run", "--wait", "-p", "learning_rate=0.2", "train.py")
    said = await run(tmp_path, environment, *words)
    assert "job.succeeded" in said
    assert "loss=0.06667" in said


async def test_the_webhook_is_set_up_and_starts_a_job(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    await run(tmp_path, environment, "sh", "-ec", WEBHOOK)
    assert "standard" in await run(tmp_path, environment, "penstock", "source", "ls")
    assert "arrived" in await run(tmp_path, environment, "penstock", "trigger", "ls")
