"""The embedded platform: both servers and every installed service, in one process tree.

Start order: directory lock, servers, services (side by side, on one event loop), endpoints file.
Stop order: services drain, then the servers end. A server that dies is started again by its own
supervision; a service that fails is started again by its host. Nothing outlives the platform
but the runners of jobs, which the next start adopts.
"""

import asyncio
import functools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from penstock_chassis.adapters.access import account_fold
from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import EVENTS
from penstock_chassis.adapters.s3 import S3ObjectStore, make_client
from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.embedded import DataDir, EmbeddedNats, EmbeddedObjects, Endpoints
from penstock_chassis.embedded.durability import sync_filesystem
from penstock_chassis.embedded.portmemory import PortMemory
from penstock_chassis.health import serve_health
from penstock_chassis.runtime import ServiceHost
from penstock_chassis.service import ServiceSpec
from penstock_chassis.settings import PlatformSettings, ServiceSettings, is_in_environment

GATEWAY_PORT = 7360
SERVING_PORT = 7361
READY_SECONDS = 60.0
PASSWORD_BYTES = 32
SET_BY_PLATFORM = frozenset(
    {
        "secrets_key_file",
        "nats_url",
        "ephemeral",
        "objects_endpoint",
        "objects_access_key",
        "objects_secret_key",
        "objects_sync_dir",
        "gateway_url",
        "serving_url",
    }
)
"""The settings that an embedded platform sets itself, whatever the environment says; of the first
the environment's value counts where there is one."""
ACCOUNTS_SECONDS = 0.5
"""So late a credential may count: between two looks at what was folded."""

log = structlog.get_logger("penstock.platform")


@dataclass(frozen=True)
class UpOptions:
    """What `penstock up` may be told. A port of None means the last run's, the usual or a free
    one; `overrides` are settings of single services by name."""

    services: Sequence[str] | None = None
    nats_port: int | None = None
    objects_port: int | None = None
    gateway_port: int | None = None
    serving_port: int | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda _: None


class Platform:
    """A running embedded platform."""

    def __init__(
        self,
        directory: DataDir,
        settings: PlatformSettings,
        hosts: Sequence[ServiceHost],
        tasks: Sequence[asyncio.Task[None]],
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.hosts = hosts
        self._tasks = tasks

    async def ready(self) -> None:
        """Wait until every service has caught up; raises `TimeoutError` naming those that have
        not."""
        waiting = [asyncio.create_task(host.ready.wait()) for host in self.hosts]
        _, late = await asyncio.wait(waiting, timeout=READY_SECONDS)
        for task in late:
            task.cancel()
        if late:
            names = [host.spec.name for host in self.hosts if not host.ready.is_set()]
            raise TimeoutError(
                f"not ready after {READY_SECONDS:.0f} s: {', '.join(names)}; see "
                f"{self.directory.logs} and `penstock doctor`"
            )

    async def drain(self) -> None:
        """Let every service finish what it has in hand."""
        await asyncio.gather(*(host.drain() for host in self.hosts))
        self._tasks[-1].cancel()  # who keeps the bus's accounts has nothing to drain
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def running_platform(
    directory: DataDir, options: UpOptions | None = None
) -> AsyncIterator[Platform]:
    """Start everything in a locked directory; drain and stop at the end."""
    options = options or UpOptions()
    asked = PlatformSettings()
    password = secrets.token_urlsafe(PASSWORD_BYTES) if asked.auth == "tokens" else None
    nats = EmbeddedNats(directory, options.nats_port, password=password)
    objects = EmbeddedObjects(directory, options.objects_port, bucket=asked.objects_bucket)
    try:
        options.progress("starting nats-server and the object store")
        await _start_both(nats, objects)
        settings = _platform_settings(directory, options, nats, objects)
        store = await make_object_store(settings)
        hosts = [
            ServiceHost(
                spec, _service_settings(spec, settings, directory, options), settings, store
            )
            for spec in map(load_service, options.services or installed_names())
        ]
        options.progress(f"starting {len(hosts)} services")
        tasks = [asyncio.create_task(host.run(), name=host.spec.name) for host in hosts]
        tasks.append(asyncio.create_task(keep_accounts(nats, objects, settings.nats_url)))
        platform = Platform(directory, settings, hosts, tasks)
        try:
            await platform.ready()
            checks = {name: check for host in hosts for name, check in host.checks().items()}
            health = await serve_health(settings.health_host, settings.health_port, checks)
            async with health:
                health_port = health.sockets[0].getsockname()[1]
                endpoints = _endpoints(settings, nats, objects)
                endpoints.extra["health_url"] = f"http://{settings.health_host}:{health_port}"
                directory.write_endpoints(endpoints)
                yield platform
        finally:
            await platform.drain()
    finally:
        await asyncio.gather(nats.stop(), objects.stop())


async def keep_accounts(nats: EmbeddedNats, objects: EmbeddedObjects, url: str) -> None:
    """Let into the bus and the object store whom the log lets in, for ever."""
    client = await connect_client(url, "penstock-accounts")
    try:
        log, fold = NatsLog(client, EVENTS), account_fold()
        following = asyncio.create_task(fold.follow(log))
        try:
            while True:
                await asyncio.sleep(ACCOUNTS_SECONDS)
                if following.done():
                    following.result()
                credentials = list(fold.state.credentials.values())
                await nats.admit([one for one in credentials if one.issued.kind == "nats"])
                await objects.admit([one for one in credentials if one.issued.kind == "s3"])
        finally:
            following.cancel()
    finally:
        await client.close()


async def make_object_store(settings: PlatformSettings) -> S3ObjectStore:
    """The object store of these settings, its bucket made."""
    folder = settings.objects_sync_dir
    sync = functools.partial(sync_filesystem, folder) if folder is not None else None
    store = S3ObjectStore(make_client(settings), settings.objects_bucket, sync)
    await store.ensure_bucket()
    return store


async def _start_both(nats: EmbeddedNats, objects: EmbeddedObjects) -> None:
    results = await asyncio.gather(nats.start(), objects.start(), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _platform_settings(
    directory: DataDir, options: UpOptions, nats: EmbeddedNats, objects: EmbeddedObjects
) -> PlatformSettings:
    memory = PortMemory(directory.run / "http-ports.json")
    asked = {"gateway": options.gateway_port, "serving": options.serving_port}
    usual = {"gateway": GATEWAY_PORT, "serving": SERVING_PORT}
    if not (directory.run / "http-ports.json").exists() and memory.all_free(usual):
        asked = {role: port or usual[role] for role, port in asked.items()}
    ports = memory.resolve({role: port or None for role, port in asked.items()})
    memory.remember(ports)
    given = PlatformSettings()
    update = {
        "secrets_key_file": given.secrets_key_file or directory.secrets_key_file(),
        "nats_url": nats.url,
        "ephemeral": directory.is_ephemeral,
        "objects_endpoint": objects.endpoint,
        "objects_access_key": objects.access_key,
        "objects_secret_key": SecretStr(objects.secret_key),
        "objects_sync_dir": objects.data_dir,
        "gateway_url": f"http://127.0.0.1:{ports['gateway']}",
        "serving_url": f"http://127.0.0.1:{ports['serving']}",
    }
    assert update.keys() == SET_BY_PLATFORM, "`--show-config` tells whence each setting comes"
    return given.model_copy(update=update)


def _service_settings(
    spec: ServiceSpec[Any], settings: PlatformSettings, directory: DataDir, options: UpOptions
) -> ServiceSettings:
    given = given_by_platform(spec, directory.path) | dict(options.overrides.get(spec.name, {}))
    urls = {"gateway": settings.gateway_url, "serving": settings.serving_url}
    if spec.name in urls:
        given = {"port": int(urls[spec.name].rsplit(":", 1)[1])} | given
    made = settings_for(spec, settings, given)
    made.work_dir.expanduser().mkdir(parents=True, exist_ok=True)
    return made


def given_by_platform(spec: ServiceSpec[Any], data_dir: Path) -> dict[str, Any]:
    """What the embedded platform sets of a service, whatever the environment says; its port
    beside that, where it has one, which is chosen at the start."""
    return {"work_dir": data_dir / "work" / spec.name}


def settings_for(
    spec: ServiceSpec[Any], platform: PlatformSettings, given: Mapping[str, Any]
) -> ServiceSettings:
    """The settings of a service: what is given, else its environment, else its defaults.

    A field that has the name of a platform setting takes its value, unless the service's own
    variable is set.
    """
    shared = {name: getattr(platform, name) for name in shared_with_platform(spec)}
    made: ServiceSettings = spec.settings(**(shared | dict(given)))
    return made


def shared_with_platform(spec: ServiceSpec[Any]) -> set[str]:
    """The settings of a service that take the platform's value of the same name."""
    return {
        name
        for name in set(PlatformSettings.model_fields) & set(spec.settings.model_fields)
        if not is_in_environment(spec.settings, name)
    }


def _endpoints(
    settings: PlatformSettings, nats: EmbeddedNats, objects: EmbeddedObjects
) -> Endpoints:
    return Endpoints(
        nats_url=nats.url,
        nats_monitor_url=nats.monitor_url,
        objects_url=objects.url,
        objects_access_key=objects.access_key,
        objects_secret_key=objects.secret_key,
        gateway_url=settings.gateway_url,
        extra={"serving_url": settings.serving_url, "pid": str(os.getpid())},
    )
