"""`penstock doctor`: what is wrong with a set-up, and how to mend it."""

import asyncio
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock_chassis.commands import DataDirOption, JsonOption, emit

if TYPE_CHECKING:
    from penstock_chassis.embedded import DataDir, Endpoints

DISK_FREE_BYTES_MIN = 2 * 2**30
HTTP_SECONDS = 5.0
PYTHON_MIN = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    said: str
    hint: str = ""


def doctor(
    data_dir: DataDirOption = None,
    servers: Annotated[
        bool,
        typer.Option(
            "--servers",
            help="Also ask the bus and the object store that `penstock service run` would use; "
            "done anyway where PENSTOCK_NATS_URL or PENSTOCK_OBJECTS_* is set.",
        ),
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Look at the set-up, at the running platform, if there is one, and at the servers that the
    environment names."""
    from penstock_chassis.commands.servers import are_named, ask_servers  # noqa: PLC0415
    from penstock_chassis.embedded import DataDir  # noqa: PLC0415
    from penstock_chassis.settings import PlatformSettings  # noqa: PLC0415

    directory = DataDir(data_dir)
    findings = [*_machine(directory), *_installation()]
    endpoints = directory.read_endpoints()
    if endpoints is None:
        findings.append(
            Finding("platform", True, f"none runs in {directory.path}", "start it: penstock up")
        )
    else:
        findings += asyncio.run(_running(endpoints))
    settings = PlatformSettings()
    if servers or are_named(settings):
        findings += [Finding(*answer) for answer in asyncio.run(ask_servers(settings))]
    if json_output:
        emit([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.what:<22} {finding.said}")
            if finding.hint and not finding.ok:
                typer.echo(f"     hint: {finding.hint}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _machine(directory: "DataDir") -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    free = shutil.disk_usage(directory.path).free
    return [
        Finding("python", sys.version_info >= PYTHON_MIN, version, "install Python 3.11 or newer"),
        Finding(
            "disk",
            free >= DISK_FREE_BYTES_MIN,
            f"{free / 2**30:.1f} GiB free at {directory.path}",
            "free some space, or choose another --data-dir: a full disk stops the event log",
        ),
    ]


def _installation() -> list[Finding]:
    from penstock_chassis.discovery import installed_names, load_service  # noqa: PLC0415
    from penstock_chassis.embedded import (  # noqa: PLC0415
        NATS_SERVER,
        WEED,
        BinaryNotFoundError,
        find,
    )

    findings = []
    for binary in (NATS_SERVER, WEED):
        try:
            findings.append(Finding(binary.executable, True, str(find(binary))))
        except BinaryNotFoundError as error:
            findings.append(Finding(binary.executable, False, error.args[0], error.hint))
    for name in installed_names():
        try:
            load_service(name)
        except Exception as error:  # noqa: BLE001 - an import may fail in any way; that is the finding
            findings.append(
                Finding(f"service {name}", False, repr(error), f"reinstall penstock-{name}")
            )
    if not installed_names():
        findings.append(
            Finding("services", False, "none is installed", "pip install 'penstock[platform]'")
        )
    return findings


async def _running(endpoints: "Endpoints") -> list[Finding]:
    findings = [await _synced(endpoints)]
    for name, said in (await service_states(endpoints)).items():
        findings.append(Finding(name, said == "ok", said, "see the logs folder; penstock status"))
    letters = await asyncio.to_thread(get_json, f"{endpoints.gateway_url}/v1/deadletter")
    count = len(letters.get("items", []))
    findings.append(
        Finding("dead letters", count == 0, str(count), "penstock deadletter ls; … retry or drop")
    )
    return findings


async def _synced(endpoints: "Endpoints") -> Finding:
    said = await asyncio.to_thread(get_json, f"{endpoints.nats_monitor_url}/jsz?config=1")
    return Finding("synced appends", *synced_said(said))


def synced_said(jsz: dict[str, Any]) -> tuple[bool, str, str]:
    """Whether the server syncs each append, in words, and how to make it (its answer to /jsz)."""
    always = bool(jsz.get("config", {}).get("sync_always"))
    return (
        always,
        "on" if always else "off: a power cut would lose acknowledged events",
        "set `sync_interval: always` in the jetstream block of the NATS configuration",
    )


async def service_states(endpoints: "Endpoints") -> dict[str, str]:
    """What each readiness check of the platform's process says."""
    said = await asyncio.to_thread(get_json, f"{endpoints.extra.get('health_url', '')}/readyz")
    checks: dict[str, str] = said.get("checks") or {"platform": said.get("problem", "no answer")}
    return checks


def get_json(url: str, timeout_seconds: float = HTTP_SECONDS) -> dict[str, Any]:
    """What a URL answers, also with an error status; `problem` where it is no JSON object."""
    token = os.environ.get("PENSTOCK_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own addresses
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        try:
            refused: dict[str, Any] = json.load(error)
        except ValueError:
            return {"problem": str(error)}
        return refused
    except (OSError, ValueError) as error:
        return {"problem": f"{url}: {error}"}
