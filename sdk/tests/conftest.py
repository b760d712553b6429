"""A gateway in a thread, a story in its log, and a command line that a test can call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock.cli.main import main
from penstock.testing import FakeGateway

JOB = "0190c2a4-7b1e-7c30-8f00-00000000a001"


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGateway]:
    with FakeGateway() as fake:
        monkeypatch.setenv("PENSTOCK_URL", fake.url)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.delenv("PENSTOCK_NAMESPACE", raising=False)
        yield fake


@pytest.fixture
def penstock(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command line, in this process: `penstock("job", "ls")`."""

    def call(*argv: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(argv))
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call


@pytest.fixture
def story(gateway: FakeGateway) -> Sequence[dict[str, object]]:
    """A job's life in the log: requested, queued, placed, started, succeeded."""
    import penstock_schemas as schemas

    asked = gateway.append(
        schemas.JobRequested(job=JOB, program={"command": ["{python}", "train.py"]})
    )
    queued = gateway.append(
        schemas.JobQueued(job=JOB, queue="default", attempt=1, reason="needs 1 CPU; 0 are free"),
        cause=asked,
    )
    placed = gateway.append(
        schemas.JobPlaced(
            job=JOB, attempt=1, node="laptop", resources={"cpu": 1}, reason="1 of 2 CPUs was free"
        ),
        cause=queued,
    )
    started = gateway.append(schemas.JobStarted(job=JOB, attempt=1, node="laptop"), cause=placed)
    gateway.append(
        schemas.JobSucceeded(job=JOB, attempt=1, metrics={"auc": 0.71}, seconds=3.4), cause=started
    )
    return gateway.events
