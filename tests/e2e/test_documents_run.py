"""The programs of the guides, run in order against a real platform: they do what they say."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from penstock.client import AsyncClient
from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import UpOptions, running_platform
from penstock_schemas import QueueRequested

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUN_SECONDS = 60.0
_SDK = re.findall(
    r"```python( forever)?\n(.*?)```\n+```text\n(.*?)```", (DOCS / "sdk.md").read_text(), re.DOTALL
)
_ANY = (DOCS / "any-language.md").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, str]]:
    with DataDir.ephemeral() as directory:
        async with running_platform(directory, UpOptions(services=["scheduler", "gateway"])) as up:
            endpoints = directory.read_endpoints()
            assert endpoints is not None
            state = tmp_path_factory.mktemp("state")
            yield os.environ | {
                "PENSTOCK_URL": endpoints.gateway_url,
                "NATS_URL": up.settings.nats_url,
                "XDG_STATE_HOME": str(state),
            }


async def run(words: list[str], environment: dict[str, str], folder: Path) -> str:
    """The standard output of a program that ends well."""
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), RUN_SECONDS)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def run_forever(program: str, environment: dict[str, str], folder: Path, wanted: str) -> None:
    """Run a worker until it says what is wanted."""
    async with AsyncClient(environment["PENSTOCK_URL"]) as client:
        position = folder / "state" / "penstock" / "positions" / "default" / "announcer.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program),
            cwd=folder,
            env=environment | {"XDG_STATE_HOME": str(folder / "state")},
            stdout=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS):
                while not position.exists():  # noqa: ASYNC110 - from then on it misses nothing
                    await asyncio.sleep(0.05)  # e2e: another process has no event to wait for
                await client.publish(QueueRequested(queue="late"))
                assert process.stdout is not None
                assert (await process.stdout.readline()).decode() == wanted
        finally:
            process.kill()
            await process.communicate()


async def test_the_sdk_guide_does_what_it_says(environment: dict[str, str], tmp_path: Path) -> None:
    assert len(_SDK) == (DOCS / "sdk.md").read_text().count("```python")
    for forever, program, wanted in _SDK:
        if forever:
            await run_forever(program, environment, tmp_path, wanted)
        else:
            said = await run([sys.executable, "-c", program], environment, tmp_path)
            assert said == wanted


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_does_what_the_guide_says(environment: dict[str, str], tmp_path: Path) -> None:
    ask, declare, read = re.findall(r"```sh\n(.*?)```", _ANY, re.DOTALL)
    first = json.loads(await run(["sh", "-c", ask], environment, tmp_path))
    again = json.loads(await run(["sh", "-c", ask], environment, tmp_path))
    assert again == first | {"duplicate": True}
    changed = json.loads(await run(["sh", "-c", declare], environment, tmp_path))
    assert changed["sequence"] > first["sequence"]
    listed, _, followed = (await run(["sh", "-c", read], environment, tmp_path)).partition("\n")
    page, _, rest = listed.partition("}retry:")
    assert followed.count("event: event") >= 2
    found = json.loads(page + "}" if rest else page)
    assert [one["data"]["cpu_quota"] for one in found["items"]] == [1, 0.5]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
async def test_javascript_does_what_the_guide_says(
    environment: dict[str, str], tmp_path: Path
) -> None:
    [program] = re.findall(r"```js\n(.*?)```", _ANY, re.DOTALL)
    (tmp_path / "program.mjs").write_text(program)
    said = await run(["node", "program.mjs"], environment, tmp_path)
    assert said == "queue.requested from-javascript\n"


async def test_plain_nats_does_what_the_guide_says(
    environment: dict[str, str], tmp_path: Path
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", _ANY, re.DOTALL)
    said = await run([sys.executable, "-c", program], environment, tmp_path)
    assert said == "EVENTS True\n"
    async with AsyncClient(environment["PENSTOCK_URL"]) as client:
        ending = await client.queue.wait("from-nats", timeout_seconds=RUN_SECONDS)
    assert ending.ok


async def test_apply_waits_for_the_answer_where_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "q.yaml").write_text("kind: queue\nname: fits\ncpu_quota: 1\n")
    penstock = [str(Path(sys.executable).with_name("penstock")), "apply", "-f"]
    said = await run([*penstock, "q.yaml", "--yes", "--wait"], environment, tmp_path)
    assert said == "queue/fits\n"
    (tmp_path / "q.yaml").write_text("kind: queue\nname: huge\ncpu_quota: 100000\n")
    with pytest.raises(AssertionError, match="above the cluster's"):
        await run([*penstock, "q.yaml", "--yes", "--wait"], environment, tmp_path)
