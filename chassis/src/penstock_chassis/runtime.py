"""A service on the real bus: connection, streams, FastStream front, supervision, drain.

`ServiceHost` runs one service and starts it anew, with back-off, when it fails: everything that
it knows is in the log. Several hosts share one process and one event loop.
"""

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from penstock_chassis.adapters.nats.front import declare, make_broker
from penstock_chassis.adapters.nats.ports import ports_on
from penstock_chassis.adapters.nats.streams import ensure_streams
from penstock_chassis.adapters.s3 import S3ObjectStore
from penstock_chassis.errors import Unavailable
from penstock_chassis.health import Check
from penstock_chassis.ports import Ports
from penstock_chassis.service import ServiceRunner, ServiceSpec
from penstock_chassis.settings import PlatformSettings, ServiceSettings

RESTART_FIRST_SECONDS = 0.5
RESTART_MAX_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A service that ran so long starts its back-off anew."""
CANCEL_AGAIN_SECONDS = 0.2

log = structlog.get_logger("penstock.runtime")


class ServiceHost:
    """Runs one service until it is drained."""

    def __init__(
        self,
        spec: ServiceSpec[Any],
        settings: ServiceSettings,
        platform: PlatformSettings,
        objects: S3ObjectStore,
    ) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self._settings = settings
        self._platform = platform
        self._objects = objects
        self._runner: ServiceRunner | None = None
        self._ports: Ports | None = None
        self._draining = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        """An attempt to run, until the service is built: a drain cuts it short."""

    async def run(self) -> None:
        """Run, and start anew after each failure, until drained or cancelled."""
        loop = asyncio.get_running_loop()
        pause = RESTART_FIRST_SECONDS
        while not self._draining.is_set():
            started = loop.time()
            try:
                await self._attempt()
            except Exception as error:
                self.ready.clear()
                if self._draining.is_set():
                    return
                if loop.time() - started > STEADY_SECONDS:
                    pause = RESTART_FIRST_SECONDS
                log.exception(
                    "service failed", service=self.spec.name, error=repr(error), retry_seconds=pause
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._draining.wait()
                pause = min(pause * 2, RESTART_MAX_SECONDS)

    async def _attempt(self) -> None:
        """Run once; a drain before the service is built ends it at once, for instance while it
        waits for a bus that is not there."""
        self._starting = attempt = asyncio.create_task(self._run_once())
        try:
            await attempt
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._draining.is_set() or (task is not None and task.cancelling()):
                raise
        finally:
            self._starting = None

    async def _run_once(self) -> None:
        broker = make_broker(self._platform.nats_url, f"penstock-{self.spec.name}")
        client = await broker.connect()
        try:
            await ensure_streams(client, self._platform)
            self._ports = ports_on(client, self._platform, self._objects)
            service = self.spec.build(self._settings, self._ports)
            runner = ServiceRunner(service, self._ports)
            if service.handlers:
                runner.through(declare(broker, service.name, service.handlers, runner.dispatcher))
            await broker.start()
            self._runner, self._starting = runner, None
            if self._draining.is_set():
                return
            signal = asyncio.create_task(self._announce(runner))
            try:
                await runner.run()
            finally:
                signal.cancel()
        finally:
            self.ready.clear()
            self._runner = self._starting = None
            await _stop(broker)

    async def _announce(self, runner: ServiceRunner) -> None:
        await runner.ready.wait()
        log.info("service ready", service=self.spec.name)
        self.ready.set()

    async def drain(self) -> None:
        """Finish what is in hand and let `run` return."""
        self._draining.set()
        if self._runner is not None:
            await self._runner.drain()
        while (attempt := self._starting) is not None and not attempt.done():
            attempt.cancel()  # `wait_for` of Python 3.11 may lose one: say it until it is heard
            await asyncio.wait({attempt}, timeout=CANCEL_AGAIN_SECONDS)

    def checks(self) -> dict[str, Check]:
        """What readiness of this service means."""

        async def started() -> None:
            if not self.ready.is_set():
                raise Unavailable("the service has not caught up with the log yet")

        async def bus() -> None:
            if self._ports is None:
                raise Unavailable("not connected")
            await self._ports.log.head(["penstock.system.node.*.>"])
            await self._ports.consumers.verify()

        return {
            f"{self.spec.name}.started": started,
            f"{self.spec.name}.bus": bus,
            f"{self.spec.name}.objects": self._objects.ping,
        }


async def _stop(broker: NatsBroker) -> None:
    with suppress(NatsError, asyncio.TimeoutError, OSError):
        await broker.stop()
