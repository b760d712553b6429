"""`--show-config` of `penstock up` and `penstock service run`: values, sources, nothing secret."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from penstock_chassis.commands import register
from penstock_chassis.discovery import installed_names

SECRET = "geheim"


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without settings; a data directory that is not there."""
    for variable in ("DATA_DIR", "NATS_URL", "LOG_LEVEL", "GATEWAY_URL", "GATEWAY_HOST"):
        monkeypatch.delenv(f"PENSTOCK_{variable}", raising=False)
    return tmp_path / "nowhere"


def penstock(*words: str) -> str:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, [*words, "--show-config"])
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(*words: str) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(penstock(*words, "--json"))
    return found


def test_up_says_of_each_setting_its_value_and_where_it_comes_from(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_NATS_URL", "nats://elsewhere:4222")
    monkeypatch.setenv("PENSTOCK_GATEWAY_HOST", "localhost")
    config = shown("up", "--data-dir", str(empty), "--gateway-port", "7999")
    assert set(config) == {"up", "platform", *installed_names()}
    sources = {
        (section, name): (row["value"], row["source"])
        for section, rows in config.items()
        for name, row in rows.items()
    }
    assert sources["up", "data_dir"] == (str(empty), "option")
    assert sources["platform", "gateway_url"] == ("http://127.0.0.1:7999", "option")
    assert sources["gateway", "port"] == (7999, "option")
    assert sources["gateway", "gateway_url"] == ("http://127.0.0.1:7999", "platform")
    assert sources["gateway", "host"] == ("localhost", "environment")
    assert sources["gateway", "work_dir"] == (str(empty / "work" / "gateway"), "platform")
    assert sources["platform", "nats_replicas"] == (1, "default")
    assert sources["platform", "log_level"] == ("warning", "default")
    assert sources["platform", "nats_url"] == ("(chosen at start)", "platform"), "it has its own"


def test_show_config_starts_and_makes_nothing(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(empty))
    assert shown("up")["up"]["data_dir"]["source"] == "environment"
    monkeypatch.setenv("PENSTOCK_TRAINER_WORK_DIR", str(empty))
    shown("service", "run", "trainer")
    assert not empty.exists()


@pytest.mark.parametrize("words", [("up",), ("service", "run", "gateway")], ids=" ".join)
@pytest.mark.parametrize("how", [(), ("--json",)], ids=["table", "json"])
def test_show_config_masks_secrets(
    empty: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], how: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(empty))
    monkeypatch.setenv("PENSTOCK_OBJECTS_SECRET_KEY", SECRET)
    monkeypatch.setenv("PENSTOCK_GATEWAY_DATABASE_URL", f"postgresql://me:{SECRET}@host/db")
    monkeypatch.setenv("PENSTOCK_OTEL_ENDPOINT", f"http://me:{SECRET}@host:4318")
    text = penstock(*words, *how)
    assert SECRET not in text
    assert "http://me:**********@host:4318" in text


def test_a_service_alone_says_its_settings_and_those_of_the_platform(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("penstock_trainer_nodes", "left")
    config = shown("service", "run", "trainer")
    assert set(config) == {"platform", "trainer"}
    assert config["trainer"]["nodes"]["source"] == "environment"
    assert config["trainer"]["ephemeral"]["source"] == "platform"
    row = [line.split() for line in penstock("service", "run", "trainer").splitlines()]
    assert ["PENSTOCK_TRAINER_NODES", "environment", "left"] in row
