"""The rigs on which the launcher's contract runs: the fake, and real processes under real kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.adapters.local.waiting import process_end
from penstock_trainer.ports import AttemptId, AttemptSpec
from penstock_trainer.runner.procfs import kill_members, look
from penstock_trainer.testing import FakeLauncher

PROGRAMS = Path(__file__).parent / "programs"
PUPPET = PROGRAMS / "puppet.py"
WAIT_SECONDS = 20.0
"""How long an event may take before the test fails."""


class Actor:
    """One living process of a script, at the other end of a socket."""

    def __init__(self, hello: dict[str, Any], reader: asyncio.StreamReader, writer: Any) -> None:
        self.pid: int = hello["pid"]
        self._reader = reader
        self._writer = writer

    async def do(self, order: str, **details: Any) -> Any:
        self._writer.write(json.dumps({"do": order, **details}).encode() + b"\n")
        answer = await asyncio.wait_for(self._reader.readline(), WAIT_SECONDS)
        return json.loads(answer) if answer else None

    async def gone(self) -> None:
        """Return once the process has ended."""
        assert await asyncio.wait_for(self._reader.read(), WAIT_SECONDS) == b""


class Stage:
    """Where the processes of scripts report, to be told what to do. `entries` lists them all."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, int, str]] = []
        self._actors: dict[tuple[str, int, int, str], Actor] = {}
        self._changed = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        hello = json.loads(await reader.readline())
        key = (hello["job"], hello["attempt"], hello["rank"], hello["role"])
        async with self._changed:
            self.entries.append(key)
            self._actors[key] = Actor(hello, reader, writer)
            self._changed.notify_all()

    async def actor(self, attempt: AttemptId, role: str = "script", rank: int = 0) -> Actor:
        key = (attempt.job, attempt.attempt, rank, role)
        async with asyncio.timeout(WAIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: key in self._actors)
        return self._actors[key]

    def starts(self, attempt: AttemptId) -> int:
        return self.entries.count((attempt.job, attempt.attempt, 0, "script"))


class LocalRig:
    """Real processes."""

    kind = "local"

    def __init__(self, root: Path, stage: Stage) -> None:
        self.root = root
        self.stage = stage
        self.launcher = LocalLauncher(root)

    def spec(self, attempt: int = 1, job: str = "job-1", **details: Any) -> AttemptSpec:
        details.setdefault("command", ("python", str(PUPPET)))
        details["params"] = {"stage": self.stage.port, **details.get("params", {})}
        return AttemptSpec("tests", job, attempt, **details)

    def directory(self, attempt: AttemptId) -> Path:
        return self.root / attempt.namespace / attempt.job / "attempts" / str(attempt.attempt)

    def runner_pid(self, attempt: AttemptId) -> int:
        return json.loads((self.directory(attempt) / "runner.json").read_text())["pid"]

    async def starts(self, attempt: AttemptId) -> int:
        await self.stage.actor(attempt)
        return self.stage.starts(attempt)

    async def write_metrics(self, attempt: AttemptId, text: str) -> None:
        await (await self.stage.actor(attempt)).do("metrics", text=text)

    async def write_log(self, attempt: AttemptId, text: str) -> None:
        await (await self.stage.actor(attempt)).do("print", text=text)

    async def write_result(self, attempt: AttemptId, text: str) -> None:
        await (await self.stage.actor(attempt)).do("result", text=text)

    async def ignore_stop(self, attempt: AttemptId) -> None:
        await (await self.stage.actor(attempt)).do("ignore-sigterm")

    async def grace_passes(self, attempt: AttemptId) -> None:
        """Real time passes by itself."""

    async def end(self, attempt: AttemptId, code: int = 0) -> None:
        await (await self.stage.actor(attempt)).do("exit", code=code)

    async def kill_script(self, attempt: AttemptId) -> None:
        os.kill((await self.stage.actor(attempt)).pid, signal.SIGKILL)

    async def lose(self, attempt: AttemptId) -> None:
        runner = look(self.runner_pid(attempt))
        assert runner is not None
        os.kill(runner.pid, signal.SIGKILL)
        await process_end(runner.pid, runner.start_ticks)

    def clear(self) -> None:
        for claim in self.root.glob("*/*/attempts/*/runner.json"):
            written = json.loads(claim.read_text())
            if not claim.with_name("exit.json").exists():
                _kill(written["pid"])
            assert kill_members(written["attempt_id"], WAIT_SECONDS) == []


class FakeRig:
    """The fake, told the same things."""

    kind = "fake"

    def __init__(self) -> None:
        self.launcher = FakeLauncher()
        self._results: dict[AttemptId, bytes] = {}

    def spec(self, attempt: int = 1, job: str = "job-1", **details: Any) -> AttemptSpec:
        details.setdefault("command", ("python", "train.py"))
        return AttemptSpec("tests", job, attempt, **details)

    async def starts(self, attempt: AttemptId) -> int:
        return self.launcher.starts.count(attempt)

    async def write_metrics(self, attempt: AttemptId, text: str) -> None:
        self.launcher.write_metrics(attempt, text.encode())

    async def write_log(self, attempt: AttemptId, text: str) -> None:
        self.launcher.write_log(attempt, text.encode())

    async def write_result(self, attempt: AttemptId, text: str) -> None:
        self._results[attempt] = text.encode()

    async def ignore_stop(self, attempt: AttemptId) -> None:
        self.launcher.obeys_stop = False

    async def grace_passes(self, attempt: AttemptId) -> None:
        self.launcher.expire_grace(attempt)

    async def end(self, attempt: AttemptId, code: int = 0) -> None:
        self.launcher.finish(attempt, exit_code=code, result=self._results.get(attempt))

    async def kill_script(self, attempt: AttemptId) -> None:
        self.launcher.finish(attempt, signal_number=signal.SIGKILL)

    async def lose(self, attempt: AttemptId) -> None:
        self.launcher.lose(attempt)


Rig = LocalRig | FakeRig


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    opened = Stage()
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def local(tmp_path: Path, stage: Stage) -> AsyncIterator[LocalRig]:
    rig = LocalRig(tmp_path / "jobs", stage)
    yield rig
    rig.clear()


@pytest.fixture(params=["fake", "local"])
def rig(request: pytest.FixtureRequest) -> Rig:
    return FakeRig() if request.param == "fake" else request.getfixturevalue("local")


@pytest.fixture
def programs() -> Path:
    return PROGRAMS
