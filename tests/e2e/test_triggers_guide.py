"""The ten minutes of docs/triggers.md: every command, in order, against a whole real platform."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import UpOptions, running_platform

pytestmark = pytest.mark.e2e
GUIDE = Path(__file__).parents[2] / "docs" / "triggers.md"
COMMAND_SECONDS = 60.0
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def walk() -> Iterator[tuple[str, str]]:
    """The files (by name) and the commands of the guide, in their order."""
    text = GUIDE.read_text("utf-8")
    part = text[text.index("## Ten minutes") : text.index("## Reference by example")]
    for kind, body in _BLOCK.findall(part):
        if kind == "yaml":
            yield body.split("\n", 1)[0].removeprefix("# "), body
        else:
            yield from (("$", line.removeprefix("$ ")) for line in body.splitlines())


class Shell:
    """Runs commands in one folder as the guide's reader does; variables stay set."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        binaries = str(Path(sys.executable).parent)
        self._environment = os.environ | {
            "PENSTOCK_URL": url,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        }

    async def run(self, command: str) -> str:
        """Its output; it must succeed."""
        if name := re.match(r"(\w+)=", command):
            found = await self.run(f'true; {command}; printf %s "${name[1]}"')
            self._environment[name[1]] = found
            return found
        process = await asyncio.create_subprocess_exec(
            *("bash", "-ec", command),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(COMMAND_SECONDS):
            out, err = await process.communicate()
        assert process.returncode == 0, f"{command}\n{out.decode()}\n{err.decode()}"
        return out.decode()


async def test_a_stranger_writes_backtests_and_turns_on_a_trigger(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    with DataDir.ephemeral() as directory:
        options = UpOptions(services=["scheduler", "trainer", "gateway"])
        async with running_platform(directory, options) as platform:
            endpoints = platform.directory.read_endpoints()
            assert endpoints is not None
            shell = Shell(tmp_path, endpoints.gateway_url)
            for kind, text in walk():
                if kind == "$":
                    said[text] = await shell.run(text)
                else:
                    (tmp_path / kind).write_text(text)
            shown = json.loads(await shell.run("penstock trigger show retrain --json"))
            again = json.loads(await shell.run("penstock trigger backtest retrain --json"))
    assert shown["fired"] == 2  # once for an event, once by hand
    assert shown["status"] == "active"
    commands = {command.split(" --")[0].split(" -f")[0]: out for command, out in said.items()}
    assert "fires\njob.requested retrain-1" in commands["penstock trigger dry-run"]
    backtest = commands["penstock trigger backtest"]
    assert re.search(r"events judged +3\n", backtest)
    assert re.search(r"would fire +1\n", backtest)  # the hour is not over
    assert re.search(r"did fire +0\n", backtest)
    assert any(out == "training\n" for out in said.values())
    assert "held: it fired at" in commands["penstock trigger explain $event"]
    assert again["did_fire"] == 1
    assert again["did_fire_by_hand"] == 1
    assert again["events"] == 5
    assert again["difference"] == {"both": 0, "only_would": 1, "only_did": 1}
