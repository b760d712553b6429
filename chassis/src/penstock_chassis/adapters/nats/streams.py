"""The streams of the platform, made or brought up to date at the start of every service.

`EVENTS` never expires: it is the truth. Synced appends are the server's own setting
(`sync_interval: always`); `doctor` checks it.
"""

from typing import Any

from nats.aio.client import Client

from penstock_chassis.adapters.nats.connection import call
from penstock_chassis.errors import NotFound
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import ROOT

EVENTS = "EVENTS"
TELEMETRY = "TELEMETRY"
DEADLETTER = "DEADLETTER"
DUPLICATE_WINDOW_SECONDS = 120
DEADLETTER_BYTES_MAX = 64 * 2**20
TELEMETRY_BYTES_MAX = 256 * 2**20
"""The server reserves these bytes of its `max_file` when the stream is made."""
SECOND = 1_000_000_000
"""NATS counts time in nanoseconds."""


def stream_configs(settings: PlatformSettings) -> list[dict[str, Any]]:
    """What each stream must look like."""
    common = {
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "allow_direct": True,
        "num_replicas": settings.nats_replicas,
        "duplicate_window": DUPLICATE_WINDOW_SECONDS * SECOND,
    }
    telemetry = common | {
        "name": TELEMETRY,
        "subjects": ["telemetry.>"],
        "max_age": int(settings.telemetry_age_seconds_max * SECOND),
        "max_bytes": TELEMETRY_BYTES_MAX,
    }
    if settings.nats_replicas == 1:
        telemetry["persist_mode"] = "async"  # many and small; the server allows it unreplicated
    return [
        common
        | {
            "name": EVENTS,
            "subjects": [f"{ROOT}.>"],
            "allow_atomic": True,
            "compression": "s2",
            "deny_delete": True,
            "discard": "new",  # a full log refuses; it never forgets
            "max_bytes": settings.stream_size_bytes_max or -1,
        },
        telemetry,
        common
        | {
            "name": DEADLETTER,
            "subjects": ["deadletter.>"],
            "max_bytes": DEADLETTER_BYTES_MAX,
        },
    ]


async def ensure_streams(client: Client, settings: PlatformSettings) -> None:
    """Make the streams, or bring them up to date. Raises `ChassisError` in the server's words."""
    for config in stream_configs(settings):
        name = config["name"]
        try:
            present = (await call(client, f"STREAM.INFO.{name}"))["config"]
        except NotFound:
            await call(client, f"STREAM.CREATE.{name}", config)
            continue
        if any(present.get(key) != value for key, value in config.items()):
            await call(client, f"STREAM.UPDATE.{name}", present | config)
