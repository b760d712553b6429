"""The demo while somebody kills things: SIGKILL of the platform, a server or a training process.

The killed platform is started again on the same directory; the servers come back by themselves.
Only processes of this very run are killed, by their pid.
"""

import contextlib
import itertools
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from penstock_chassis.embedded import DataDir, Endpoints, loopback
from penstock_chassis.embedded.portmemory import PortMemory

sys.path.insert(0, str(Path(__file__).parent))
from runs import Run, runs_below

DEMO = Path(__file__).parents[2] / "examples" / "flights" / "demo.py"
KILLS = 3
FIRST_KILL_SECONDS, LAST_KILL_SECONDS = 3.0, 40.0
VICTIMS = ("platform", "nats-server", "weed", "train.py")
DEMO_SECONDS = 420.0
"""Bounds a hang; the demo takes a tenth of it on an idle machine."""
VICTIM_SECONDS = 60.0
"""How long to wait for a process that can be killed."""
READY_SECONDS = 60.0
POLL_SECONDS = 0.05
GLANCE_SECONDS = 0.3
PAGE = 500
TLS = ssl.create_default_context()
"""Made once: httpx would read all certificates anew for each of thousands of requests."""
NOUNS = (
    *("dataset", "features", "job", "experiment", "trial", "model", "promotion"),
    *("endpoint", "rollout", "trigger", "webhook", "source", "secret", "subscription"),
)


@dataclass(frozen=True)
class Glance:
    """The rows of a noun as somebody saw them, and the position of the log that they stood for."""

    noun: str
    position: int
    rows: list[dict[str, Any]]


@dataclass
class ChaosRun:
    """One run of the demo with kills at random moments, drawn from a seed."""

    work: Path
    seed: int
    killed: list[str] = field(default_factory=list)
    """When and what, once each: `KILLS` of them, or the demo ended before the rest."""
    glances: list[Glance] = field(default_factory=list)
    """What was seen while the demo ran."""

    def __post_init__(self) -> None:
        self.directory = self.work / "data"
        # Not the usual ports: another platform of this machine may take those while ours is killed.
        ports = zip(("gateway", "serving"), loopback.choose(2), strict=True)
        PortMemory(DataDir(self.directory).run / "http-ports.json").remember(dict(ports))
        self._platform: subprocess.Popen[bytes] | None = None

    def play(self) -> int:
        """Run the demo to its end; its exit status."""
        draw = random.Random(self.seed)
        moments = sorted(draw.uniform(FIRST_KILL_SECONDS, LAST_KILL_SECONDS) for _ in range(KILLS))
        started = time.monotonic()
        with (self.work / "demo.log").open("w") as log:
            demo = subprocess.Popen(
                [sys.executable, DEMO, "--keep", "--unreachable-ok", "--work-dir", self.work],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            over = threading.Event()
            watcher = threading.Thread(target=self._watch, args=(over,))
            watcher.start()
            try:
                self.endpoints()
                for moment in moments:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        demo.wait(max(0.0, started + moment - time.monotonic()))
                    self._kill_one(draw, demo, started)
                return demo.wait(DEMO_SECONDS)
            finally:
                over.set()
                watcher.join()
                demo.kill()
                demo.wait()

    def endpoints(self) -> Endpoints:
        """Where the platform listens, once it does."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.directory.exists():
                found = DataDir(self.directory).read_endpoints()
                if found is not None:
                    return found
            time.sleep(POLL_SECONDS)
        raise TimeoutError((self.work / "up.log").read_text())

    def restart(self) -> None:
        """SIGKILL the platform and start it again."""
        holder = DataDir(self.directory).holder()
        if holder is not None:
            os.kill(holder.pid, signal.SIGKILL)
            _gone(holder.pid)
        if self._platform is not None:
            self._platform.wait(READY_SECONDS)
        with (self.work / "up.log").open("a") as log:
            self._platform = subprocess.Popen(
                [Path(sys.executable).with_name("penstock"), "up", "--data-dir", self.directory],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the platform, whoever started it, also one that is only starting."""
        holder = DataDir(self.directory).holder()
        if self._platform is not None:
            self._platform.terminate()
            self._platform.wait(READY_SECONDS)
        if holder is not None and (self._platform is None or holder.pid != self._platform.pid):
            os.kill(holder.pid, signal.SIGTERM)
            _gone(holder.pid)

    def events(self) -> list[dict[str, Any]]:
        """The whole log of the demo's namespace, in order."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["sequence"] if found else 0
            page = self._get("/v1/demo/event", after=after, limit=PAGE)["items"]
            if not page:
                return found
            found += page

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every noun's rows as they stand."""
        return {noun: self._get(f"/v1/demo/{noun}", limit=PAGE)["items"] for noun in NOUNS}

    def differs_from_then(self, seen: Glance) -> str:
        """What `?at=` says now of the moment of a glance, where that differs; empty where equal."""
        around = self._get("/v1/-/event", after=seen.position - 1, limit=2)["items"]
        assert around[0]["sequence"] == seen.position, seen
        moment = around[0]["time"]
        if len(around) > 1 and around[1]["time"] == moment:
            return ""  # seen in the middle of a batch, which no time tells apart
        then = self._get(f"/v1/demo/{seen.noun}", limit=PAGE, at=moment)["items"]
        return "" if then == seen.rows else f"{seen.noun} at {moment}: {then} was {seen.rows}"

    def _watch(self, over: threading.Event) -> None:
        """Look at one noun after another until it is over; nothing answers while it is killed."""
        for noun in itertools.cycle(NOUNS):
            if over.wait(GLANCE_SECONDS):
                return
            with contextlib.suppress(httpx.HTTPError, TimeoutError):
                found = self._get(f"/v1/demo/{noun}", limit=PAGE)
                if found["position"]:
                    self.glances.append(Glance(noun, found["position"], found["items"]))

    def runs(self) -> list[Run]:
        """When the processes of jobs really ran."""
        return runs_below(self.directory / "work" / "trainer" / "jobs")

    def dead_letters(self) -> list[dict[str, Any]]:
        """What the platform gave up on."""
        letters: list[dict[str, Any]] = self._get("/v1/deadletter")["items"]
        return letters

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        url = f"{self.endpoints().gateway_url}{path}"
        answer = httpx.get(url, params=query, timeout=30, verify=TLS)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _kill_one(
        self, draw: random.Random, demo: "subprocess.Popen[bytes]", started: float
    ) -> None:
        """Kill one victim, drawn anew where the drawn one does not run; wait until one does."""
        deadline = time.monotonic() + VICTIM_SECONDS
        while demo.poll() is None and time.monotonic() < deadline:
            for victim in draw.sample(VICTIMS, len(VICTIMS)):
                if self.kill(victim, time.monotonic() - started):
                    return
            time.sleep(POLL_SECONDS)

    def kill(self, victim: str, at_seconds: float) -> bool:
        """SIGKILL one of `VICTIMS`, if it runs; a platform is started again. Whether it was."""
        holder = DataDir(self.directory).holder()
        if holder is None:
            return False
        if victim == "platform":
            self.restart()
            self.killed.append(f"{at_seconds:.1f} s: platform")
            return True
        for pid, command in _processes_of(self.directory, holder.pid):
            if victim in command:
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(pid, signal.SIGKILL)
                    self.killed.append(f"{at_seconds:.1f} s: {victim}")
                    return True
        return False


def _processes_of(directory: Path, platform: int) -> Iterator[tuple[int, str]]:
    """The platform's children, and the processes that work below its directory (jobs)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            place = (entry / "cwd").readlink()
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if parent == platform or place.is_relative_to(directory):
            yield int(entry.name), command


def _gone(pid: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"pid {pid} does not end")


def pretty(run: ChaosRun, log: Path) -> str:
    """What a failed run says."""
    tail = log.read_text().splitlines()[-30:]
    return json.dumps(run.killed) + "\n" + "\n".join(tail)
