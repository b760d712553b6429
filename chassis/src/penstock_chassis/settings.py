"""Settings: one frozen model a service, read from the environment, printed by `--show-config`.

A service's own settings extend `ServiceSettings` under the prefix `PENSTOCK_<SERVICE>_`; what all
services share (where the bus and the object store are) has the prefix `PENSTOCK_`.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock_chassis.accounts.settings import AccessSettings

URL_PASSWORD = re.compile(r"(://(?:[^\s/@,:]*:)?)[^\s/@,]+@")
"""The password of a URL, as in nats://user:password@host, or the token, as in nats://token@host."""


class ServiceSettings(BaseSettings):
    """The base of every service's settings; a service sets `model_config` with its prefix."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    work_dir: Path = Path("~/.local/share/penstock/work")
    """Where the service keeps working files; all of it can be made again from the log."""


class PlatformSettings(AccessSettings):
    """Where the bus and the object store are, and who is let in, for every service."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    nats_url: str = "nats://127.0.0.1:4222"
    """The NATS server, or several separated by commas."""
    nats_replicas: int = Field(default=1, ge=1, le=5)
    """Copies of each stream: 1 on one machine, 3 in a cluster."""
    stream_size_bytes_max: int = Field(default=0, ge=0)
    """The most that the event stream may hold, in bytes; 0 means no limit."""
    telemetry_age_seconds_max: float = Field(default=7 * 86400.0, gt=0)
    """How long metrics and logs stay on the bus, in seconds."""
    objects_endpoint: str = "127.0.0.1:8333"
    """Host and port of the S3 server."""
    objects_secure: bool = False
    """Whether the S3 server is reached by TLS."""
    objects_access_key: str = ""
    """The S3 access key."""
    objects_secret_key: SecretStr = SecretStr("")
    """The S3 secret key."""
    objects_bucket: str = "penstock"
    """The bucket of the platform's objects."""
    objects_sync_dir: Path | None = None
    """The data folder of an embedded S3 server that does not sync by itself: it is synced to
    disk (one syncfs) before an object is announced."""
    secrets_key_file: Path | None = None
    """The file with the keys that seal secrets, one a line (base64 of 32 bytes; the first seals,
    all open), mode 0600; `penstock up` makes one in its data directory where none is named."""
    secrets_key: SecretStr = SecretStr("")
    """The same keys themselves, by spaces, for containers without a file."""
    gateway_url: str = "http://127.0.0.1:7360"
    """Where people and programs reach the HTTP API."""
    serving_url: str = "http://127.0.0.1:7361"
    """Where they reach the endpoints."""
    health_host: str = "127.0.0.1"
    """The address on which `penstock service run` answers /livez, /readyz and /metrics."""
    health_port: int = Field(default=0, ge=0, le=65535)
    """The port of it; 0 chooses a free one."""
    ephemeral: bool = False
    """Whether all state is thrown away at the end: what outlives the platform otherwise, such as
    running jobs, ends with it."""
    log_level: str = "info"
    """debug, info, warning or error."""
    log_json: bool | None = None
    """JSON lines (true), a console (false), or by whether standard error is a terminal."""
    otel_endpoint: str = ""
    """The OTLP/HTTP collector that gets the traces, e.g. http://127.0.0.1:4318 (needs the extra
    `penstock-chassis[otel]`); empty: traces are only propagated."""


def show(
    settings: BaseSettings, sources: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Each setting with its environment variable, value, source and meaning; secrets are masked,
    also the passwords of URLs.

    A source is `environment` or `default`, or what `sources` says of settings that come from
    elsewhere: `option` (of the command) or `platform` (set by it for its services).
    """
    elsewhere = sources or {}
    values = settings.model_dump(mode="json")
    return {
        name: {
            "variable": variable_of(type(settings), name),
            "value": _masked(values[name]),
            "source": elsewhere.get(name) or _source(type(settings), name),
            "meaning": " ".join((field.description or "").split()),
        }
        for name, field in type(settings).model_fields.items()
    }


def variable_of(settings: type[BaseSettings], name: str) -> str:
    """The environment variable of a setting."""
    return f"{settings.model_config.get('env_prefix', '')}{name}".upper()


def is_in_environment(settings: type[BaseSettings], name: str) -> bool:
    """Whether the environment sets it; as pydantic reads it, in letters of either case."""
    return variable_of(settings, name) in {variable.upper() for variable in os.environ}


def _source(settings: type[BaseSettings], name: str) -> str:
    return "environment" if is_in_environment(settings, name) else "default"


def _masked(value: Any) -> Any:
    return URL_PASSWORD.sub(r"\1**********@", value) if isinstance(value, str) else value
