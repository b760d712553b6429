"""What the two embedded servers share: ports, start with readiness, supervision, orderly end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from penstock_chassis.embedded.errors import NotReadyError
from penstock_chassis.embedded.portmemory import PortMemory
from penstock_chassis.embedded.process import ManagedProcess, Stopped
from penstock_chassis.embedded.readiness import until_ready

START_ATTEMPTS = 3
"""Another process may take a free port between our look and the server's bind."""


class EmbeddedServer(ABC):
    """A server child over one data directory, restarted when it dies, on loopback ports.

    Subclasses say how the child is started (`_child`) and how it is asked (`_answers`).
    """

    ready_seconds: float
    stop_grace_seconds: float

    def __init__(self, ports: PortMemory, fixed: Mapping[str, int | None]) -> None:
        """`fixed`: for every role the port asked for, or None for last run's or a free one."""
        self._ports = ports
        self._fixed = dict(fixed)
        self._chosen: dict[str, int] = {}
        self._process: ManagedProcess | None = None

    @abstractmethod
    def _child(self, ports: Mapping[str, int]) -> ManagedProcess:
        """The child for these ports, its configuration written; not yet started."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server does its work now; never raises for a server that is not up."""

    @property
    def process(self) -> ManagedProcess:
        """The supervised child."""
        assert self._process is not None, "not started"
        return self._process

    async def start(self) -> None:
        """Start and wait until the server does its work; from then on it is restarted when it dies.

        Raises BinaryNotFoundError, PortBusyError (a port asked for is taken), or NotReadyError
        (with the last log lines).
        """
        for attempt in range(1, START_ATTEMPTS + 1):
            self._chosen = self._ports.resolve(self._fixed)
            self._process = child = self._child(self._chosen)
            await child.start()
            try:
                await self.wait_ready()
            except NotReadyError:
                # Our child is gone: a port that is busy now was lost to somebody else.
                if attempt == START_ATTEMPTS or self._ports.all_free(self._chosen):
                    raise
            else:
                child.mark_ready()
                self._ports.remember(self._chosen)
                return

    async def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until the server does its work, for instance after a restart.

        Raises NotReadyError at the deadline (default `ready_seconds`) or when the child is given
        up; the child is then stopped.
        """
        timeout = self.ready_seconds if timeout_seconds is None else timeout_seconds
        await until_ready(self.process, self._answers, timeout_seconds=timeout)

    async def stop(self, grace_seconds: float | None = None) -> Stopped | None:
        """Orderly end within the grace (default `stop_grace_seconds`), else SIGKILL."""
        if self._process is None:
            return None
        grace = self.stop_grace_seconds if grace_seconds is None else grace_seconds
        return await self._process.stop(grace)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.stop()
