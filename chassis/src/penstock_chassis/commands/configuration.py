"""What `--show-config` prints: every setting, its value and where that comes from.

Nothing is started or made. Sources are `default`, `environment`, `option` (of the command
line) and `platform`: set by `penstock up` itself, or by the platform's setting of the same name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from penstock_chassis.commands import emit
from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.embedded import DataDir
from penstock_chassis.embedded.datadir import default_path
from penstock_chassis.platform import (
    SET_BY_PLATFORM,
    given_by_platform,
    settings_for,
    shared_with_platform,
)
from penstock_chassis.service import ServiceSpec
from penstock_chassis.settings import PlatformSettings, is_in_environment, show

AT_START = "(chosen at start)"
"""Stands for what only a start decides: addresses, and the keys of the embedded object store."""

Shown = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By section (`up`, `platform`, a service), then by setting."""


def of_service(spec: ServiceSpec[Any]) -> Shown:
    """What `penstock service run` would run with."""
    platform = PlatformSettings()
    return {"platform": show(platform), spec.name: _shown(spec, platform, {})}


def of_platform(
    data_dir: Path | None, options: Mapping[str, Any], sources: Mapping[str, str]
) -> Shown:
    """What `penstock up` would run with: `options` are those of its command line by parameter, and
    `sources` where each comes from. Addresses are those of the platform that runs in the data
    directory, where one does."""
    path = (data_dir or default_path()).expanduser().absolute()
    if options["ephemeral"]:
        path = Path(AT_START)
    platform = _platform(path, options)
    of_setting = dict.fromkeys(SET_BY_PLATFORM, "platform")
    if is_in_environment(PlatformSettings, "secrets_key_file"):
        of_setting["secrets_key_file"] = "environment"
    for name, parameter in _FROM_OPTION.items():
        if sources[parameter] == "option":
            of_setting[name] = "option"
    for name in ("log_level", "log_json"):  # `up` has its own defaults of these
        of_setting[name] = sources[name]
    shown = {"platform": show(platform, of_setting)}
    for name in installed_names():
        spec = load_service(name)
        shown[name] = _shown(spec, platform, given_by_platform(spec, path))
        if name in _PORT_IN:
            shown[name]["port"] |= {
                "value": _port(getattr(platform, _PORT_IN[name])),
                "source": of_setting[_PORT_IN[name]],
            }
    directory = {
        "variable": "PENSTOCK_DATA_DIR",
        "value": str(path),
        "source": sources["data_dir"] if not options["ephemeral"] else "option",
        "meaning": "Where the platform keeps its state.",
    }
    return {"up": {"data_dir": directory}, **shown}


_FROM_OPTION = {
    "nats_url": "nats_port",
    "objects_endpoint": "objects_port",
    "gateway_url": "gateway_port",
    "serving_url": "serving_port",
    "ephemeral": "ephemeral",
}
"""Which option of `up` decides a setting of the platform."""
_PORT_IN = {"gateway": "gateway_url", "serving": "serving_url"}


def _platform(path: Path, options: Mapping[str, Any]) -> PlatformSettings:
    given = PlatformSettings()
    return given.model_copy(
        update={
            "nats_url": _url("nats://", options["nats_port"]),
            "objects_endpoint": _url("", options["objects_port"]),
            "objects_access_key": AT_START,
            "objects_secret_key": SecretStr(AT_START),
            "objects_sync_dir": path / "objects",
            "gateway_url": _url("http://", options["gateway_port"]),
            "serving_url": _url("http://", options["serving_port"]),
            "secrets_key_file": given.secrets_key_file or path / "secrets.key",
            "ephemeral": options["ephemeral"],
            "log_level": options["log_level"],
            "log_json": options["log_json"],
        }
        | _running(path)
    )


def _running(path: Path) -> dict[str, Any]:
    """The addresses of the platform that runs in the directory, if one does."""
    if not (path / "run").is_dir():
        return {}
    directory = DataDir(path)
    endpoints = directory.read_endpoints()
    if endpoints is None or directory.holder() is None:
        return {}
    return {
        "nats_url": endpoints.nats_url,
        "objects_endpoint": endpoints.objects_url.partition("://")[2],
        "objects_access_key": endpoints.objects_access_key,
        "gateway_url": endpoints.gateway_url,
        "serving_url": endpoints.extra.get("serving_url", AT_START),
    }


def _url(scheme: str, port: int | None) -> str:
    return f"{scheme}127.0.0.1:{port}" if port else AT_START


def _port(url: str) -> int | str:
    port = url.rpartition(":")[2]
    return int(port) if port.isdigit() else AT_START


def _shown(
    spec: ServiceSpec[Any], platform: PlatformSettings, given: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    sources = dict.fromkeys([*shared_with_platform(spec), *given], "platform")
    return show(settings_for(spec, platform, given), sources)


def say_settings(shown: Shown, *, json_output: bool) -> None:
    """Print them: one JSON object by section and setting, or a table for people."""
    if json_output:
        emit(shown)
        return
    rows = [row for section in shown.values() for row in section.values()]
    variables = max(len(row["variable"]) for row in rows)
    sources = max(len(row["source"]) for row in rows)
    for section, settings in shown.items():
        typer.echo(section)
        for row in settings.values():
            line = f"  {row['variable']:<{variables}}  {row['source']:<{sources}}  {_text(row)}"
            typer.echo(line.rstrip())


def _text(row: Mapping[str, Any]) -> str:
    """A value as its variable would hold it."""
    value = row["value"]
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)
