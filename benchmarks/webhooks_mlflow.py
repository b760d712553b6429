"""Webhooks out beside MLflow's registry webhooks: how many of ten events arrive.

Three times ten events, for both in the same run and under the same conditions: with the receiver
up (so that a broken set-up is seen), with the receiver down for a while, and with the server ended
by SIGKILL, and started again, while the receiver is down. Both have their default settings, except
that they may post to this machine. MLflow posts from threads of its server and gives up after three
retries, some ten seconds; what waits in its threads ends with them.

MLflow runs in an environment of its own, made once in the cache folder. Where it cannot be
installed, the benchmark says so and is skipped.
"""

import argparse
import base64
import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import httpx
from benchmarks.report import finish

import penstock
from penstock_chassis.embedded import DataDir
from penstock_schemas import QueueRequested

NAME = "webhooks_mlflow"
MLFLOW_VERSION = "3.17.2"
EVENTS = 10
DOWN_SECONDS = 15.0
WAIT_SECONDS = 45.0
"""How long both may take to deliver once the receiver is back, beside the time it was away."""
START_SECONDS = 180.0
INSTALL_SECONDS = 900.0
POLL_SECONDS = 0.1
SECRET = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penstock"


class Receiver:
    """Notes the names in what it is sent and answers 204; comes back on the same port."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.port = 0
        self._server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens, or will."""
        return f"http://127.0.0.1:{self.port}/"

    def up(self) -> None:
        """Listen from now on."""
        names = self.names

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["content-length"])))["data"]
                names.add(data.get("name") or data["queue"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Silence: the figures are what counts."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class System(Protocol):
    """One of the two."""

    receiver: Receiver

    def start(self) -> None:
        """Start the server, or start it again on what it kept; return when it answers."""
        ...

    def kill(self) -> None:
        """SIGKILL to the server and all that it started."""
        ...

    def subscribe(self) -> None:
        """Have the receiver sent what happens from now on."""
        ...

    def happen(self, name: str) -> None:
        """Have one event happen; return when the server has acknowledged it."""
        ...


class Penstock:
    """`penstock up` and a subscription."""

    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver()
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def start(self) -> None:
        """See `System`."""
        directory = self._folder / "penstock"
        with (self._folder / "penstock.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(Path(sys.executable).with_name("penstock"), "up"),
                    *("--json", "--data-dir", directory),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ | {"PENSTOCK_GATEWAY_SUBSCRIPTION_NETWORKS": '["127.0.0.0/8"]'},
            )
        assert self._process.stdout is not None
        json.loads(self._process.stdout.readline())
        endpoints = DataDir(directory).read_endpoints()
        assert endpoints is not None
        self._url = endpoints.gateway_url

    def kill(self) -> None:
        """See `System`. What it started ends with it."""
        if self._process is not None:
            kill_group(self._process)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def subscribe(self) -> None:
        """See `System`."""
        with penstock.connect(self._url, "bench") as client:
            client.secret.set("bench", SECRET)
            wish = client.subscription.add(
                "bench", self.receiver.url, ["queue.requested"], secret="bench"
            )
            assert client.subscription.wait(wish.id, after=wish.sequence).ok

    def happen(self, name: str) -> None:
        """See `System`."""
        with penstock.connect(self._url, "bench") as client:
            client.publish(QueueRequested(queue=name))


class MLflow:
    """`mlflow server` on SQLite and a registry webhook."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.receiver = Receiver()
        self._folder, self._binary = folder, binary
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = os.environ | {
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            # Without a key of ours each start has another one and cannot read the secret.
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(
                secrets.token_bytes(32)
            ).decode(),
        }

    def start(self) -> None:
        """See `System`."""
        with (self._folder / "mlflow.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binary, "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                    *("--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db"),
                    *("--artifacts-destination", str(self._folder / "artifacts")),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "mlflow.log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"MLflow does not answer after {START_SECONDS} s"
            time.sleep(POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """See `System`."""
        if self._process is not None:
            kill_group(self._process)
            self._process = None

    def subscribe(self) -> None:
        """See `System`."""
        self._post(
            "webhooks",
            name="bench",
            url=self.receiver.url,
            events=[{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
            secret=SECRET,
            status="ACTIVE",
        )

    def happen(self, name: str) -> None:
        """See `System`."""
        self._post("registered-models/create", name=name)

    def _post(self, path: str, **body: object) -> None:
        url = f"http://127.0.0.1:{self._port}/api/2.0/mlflow/{path}"
        answer = httpx.post(url, json=body, timeout=60)
        assert answer.is_success, f"MLflow answers {answer.status_code} to {path}: {answer.text}"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def kill_group(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and its group; wait for its end."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment(folder: Path) -> Path:
    """The environment's `mlflow`, installed where it is not yet there.

    Raises `subprocess.SubprocessError` or `OSError` where it cannot be.
    """
    binary, done = folder / "bin" / "mlflow", folder / "installed"
    if done.exists():
        return binary
    print(f"installing MLflow {MLFLOW_VERSION} into {folder} …", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    wanted, python = f"mlflow=={MLFLOW_VERSION}", str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        run([uv, "pip", "install", "--quiet", "--python", python, wanted])
    else:
        run([sys.executable, "-m", "venv", str(folder)])
        run([python, "-m", "pip", "install", "--quiet", wanted])
    done.touch()
    return binary


def run(command: Sequence[str]) -> None:
    """Run a step of the installation; its output is seen."""
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=INSTALL_SECONDS)


def skip(reason: str) -> NoReturn:
    """Say why there are no figures; not a failure."""
    print(f"skipped: {reason}")
    print(json.dumps({"name": NAME, "skipped": reason}))
    sys.exit(0)


def names(scenario: str) -> list[str]:
    """The names of its events."""
    return [f"{scenario}-{number}" for number in range(EVENTS)]


def run_scenario(
    systems: Sequence[System], scenario: str, *, down_seconds: float, killed: bool
) -> list[int]:
    """How many of the events arrived, for each system."""
    print(f"{scenario} …", file=sys.stderr)
    for system in systems:
        if down_seconds:
            system.receiver.down()
        for name in names(scenario):
            system.happen(name)
        if killed:
            system.kill()
    for system in systems:
        if killed:
            system.start()
    time.sleep(down_seconds)
    for system in systems:
        if down_seconds:
            system.receiver.up()
    deadline = time.monotonic() + down_seconds + WAIT_SECONDS
    while True:
        arrived = [len(system.receiver.names & set(names(scenario))) for system in systems]
        if min(arrived) == EVENTS or time.monotonic() > deadline:
            return arrived
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down", type=float, default=DOWN_SECONDS, help="seconds (default 15)")
    parser.add_argument(
        "--environment",
        type=Path,
        default=CACHE / f"mlflow-{MLFLOW_VERSION}",
        help="where MLflow is or will be installed",
    )
    options = parser.parse_args()
    try:
        mlflow = environment(options.environment)
    except (OSError, subprocess.SubprocessError) as error:
        skip(f"MLflow {MLFLOW_VERSION} cannot be installed: {error}")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        systems: list[System] = [Penstock(Path(folder)), MLflow(Path(folder), mlflow)]
        try:
            for system in systems:
                system.receiver.up()
                system.start()
                system.subscribe()
            up = run_scenario(systems, "receiver-up", down_seconds=0, killed=False)
            down = run_scenario(systems, "receiver-down", down_seconds=options.down, killed=False)
            killed = run_scenario(systems, "server-killed", down_seconds=options.down, killed=True)
        finally:
            for system in systems:
                system.receiver.down()
                system.kill()
    assert up == [EVENTS, EVENTS], f"the set-up is broken: with all up, {up} of {EVENTS} arrive"
    print(f"\n{'arrived, of ' + str(EVENTS):<40}{'Penstock':>10}{'MLflow ' + MLFLOW_VERSION:>16}")
    for label, figures in (
        ("receiver up", up),
        (f"receiver down for {options.down:g} s", down),
        ("and the server killed and restarted", killed),
    ):
        print(f"{label:<40}{figures[0]:>10}{figures[1]:>16}")
    finish(
        NAME,
        {
            "MLflow: arrived after receiver down": down[1],
            "MLflow: arrived after server killed": killed[1],
        },
        {
            "arrived_after_receiver_down": down[0] / EVENTS,
            "arrived_after_server_killed": killed[0] / EVENTS,
        },
        {"arrived_after_receiver_down": ">=1", "arrived_after_server_killed": ">=1"},
    )


if __name__ == "__main__":
    main()
