from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock_chassis.embedded import (
    DataDir,
    DirectoryBusyError,
    EmbeddedError,
    Endpoints,
    default_path,
)
from penstock_chassis.embedded.identity import ProcessIdentity

ENDPOINTS = Endpoints(
    nats_url="nats://127.0.0.1:1",
    nats_monitor_url="http://127.0.0.1:2",
    objects_url="http://127.0.0.1:3",
    objects_access_key="key",
    objects_secret_key="very secret",
    extra={"serving": "http://127.0.0.1:4"},
)


def test_the_default_is_the_users_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_path() == Path.home() / ".local/share/penstock"
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/else")
    assert default_path() == Path("/somewhere/else/penstock")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_path() == Path.home() / ".local/share/penstock"


def test_the_layout_is_private(tmp_path: Path) -> None:
    directory = DataDir(tmp_path / "new")
    for folder in (
        directory.path,
        directory.nats,
        directory.objects,
        directory.logs,
        directory.run,
    ):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_place_that_cannot_be_written_is_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="cannot create the data directory") as caught:
        DataDir(tmp_path / "file" / "data")
    assert "--data-dir" in caught.value.hint


def test_a_second_holder_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with DataDir(tmp_path).locked():
        with pytest.raises(DirectoryBusyError) as caught, DataDir(tmp_path).locked():
            pass
        message = str(caught.value)
        assert f"another penstock up (pid {os.getpid()}, since 20" in message
        assert "penstock down" in message
        assert "--data-dir" in message
    with DataDir(tmp_path).locked():
        pass


HOLDER = """
import sys
from pathlib import Path
from penstock_chassis.embedded import DataDir
DataDir(Path(sys.argv[1])).lock()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the directory `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_that_holds_the_directory_is_seen(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    seen = DataDir(tmp_path).holder()
    assert seen is not None
    assert seen.pid == holder.pid
    with pytest.raises(DirectoryBusyError, match=rf"pid {holder.pid}"):
        DataDir(tmp_path).lock()


def test_the_lock_of_a_dead_holder_is_taken_over(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    directory = DataDir(tmp_path)
    assert directory.holder() is None, "what the dead one wrote of itself no longer counts"
    with directory.locked():
        seen = directory.holder()
        assert seen is not None
        assert seen.pid == os.getpid()
    assert directory.holder() is None


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process
        process.kill()


def test_leftover_children_are_ended_before_the_next_start(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], gone_within: Callable[[int, float], bool]
) -> None:
    directory = DataDir(tmp_path)
    directory.children.record("weed", sleeper.pid)
    with directory.locked() as ended:
        assert ended == ["weed"]
        assert gone_within(sleeper.pid, 0)
        assert directory.children.read() == {}


def test_a_process_that_merely_has_the_recorded_pid_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    directory = DataDir(tmp_path)
    directory.children.record("weed", sleeper.pid)
    recorded = json.loads((directory.run / "children.json").read_text())
    recorded["weed"]["started"] += "0"
    (directory.run / "children.json").write_text(json.dumps(recorded))
    with directory.locked() as ended:
        assert ended == []
    assert sleeper.poll() is None


def test_a_torn_record_of_children_does_not_prevent_a_start(tmp_path: Path) -> None:
    directory = DataDir(tmp_path)
    (directory.run / "children.json").write_text('{"weed": {"pid"')
    with directory.locked() as ended:
        assert ended == []


def test_endpoints_are_published_privately_and_only_while_held(tmp_path: Path) -> None:
    directory, client = DataDir(tmp_path), DataDir(tmp_path)
    assert client.read_endpoints() is None
    with directory.locked():
        assert client.read_endpoints() is None
        directory.write_endpoints(ENDPOINTS)
        assert client.read_endpoints() == ENDPOINTS
        assert (directory.run / "platform.json").stat().st_mode & 0o777 == 0o600
    assert client.read_endpoints() is None
    assert "very secret" not in repr(ENDPOINTS)


def test_endpoints_of_a_crashed_platform_are_not_believed(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    directory = DataDir(tmp_path)
    (directory.run / "platform.json").write_text(
        json.dumps(
            {"nats_url": "", "nats_monitor_url": "", "objects_url": ""}
            | {"objects_access_key": "", "objects_secret_key": ""}
        )
    )
    assert directory.read_endpoints() is not None
    holder.kill()
    holder.wait()
    assert directory.read_endpoints() is None


def test_an_ephemeral_directory_is_gone_afterwards() -> None:
    with DataDir.ephemeral() as directory:
        assert directory.holder() is not None
        path = directory.path
        (directory.nats / "some-file").touch()
    assert not path.exists()


def test_an_identity_is_of_one_process_only(sleeper: subprocess.Popen[bytes]) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    assert identity.is_alive()
    sleeper.kill()
    sleeper.wait()
    assert not identity.is_alive()
    assert ProcessIdentity.of(sleeper.pid) is None
