"""The front's handle on the template process: started when first needed, replaced when dead."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from penstock_serving.errors import StartFailed

logger = logging.getLogger(__name__)

WORKER_MODULE = "penstock_serving.adapters.worker"
CLOSE_SECONDS = 2.0

PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")
"""All that a worker sees of the service's environment: a model's code gets no credentials."""

ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas imports pyarrow
}
"""One core per worker: pools of threads fight each other, and do not survive a fork."""


class WorkerTemplate:
    """Forks workers. Bound to no event loop; every call returns in milliseconds.

    Use it from a thread that lives as long as the service (the main one): Linux ends the template
    when the thread that started it ends.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, model_dir: Path, link: socket.socket) -> None:
        """Have a worker for the model at the other end of `link`'s pair; `link` is not closed.

        The first call starts the template, so the worker's first word may take seconds.
        Raises `StartFailed` where no process can be started.
        """
        order = orjson.dumps({"model_dir": str(model_dir)})
        for attempt in (1, 2):
            try:
                control = self._ensure()
            except OSError as error:
                raise StartFailed(f"no process can be started: {error}") from error
            try:
                socket.send_fds(control, [order], [link.fileno()])
            except OSError as error:  # died since it was last used: the next one takes the order
                logger.warning("worker template is gone (%s), attempt %d", error, attempt)
                self.close()
            else:
                return
        raise StartFailed("the process that forks model workers does not stay alive; see its log")

    def fate(self) -> str:
        """Whether the template lives, in words, for the reason of a failed start."""
        if self._process is None:
            return "the worker template is not running"
        status = self._process.poll()
        return "the worker template lives" if status is None else f"the template ended: {status}"

    @property
    def pid(self) -> int | None:
        """The template's process id, if it was started."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the template, and with it every worker. Idempotent."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(CLOSE_SECONDS)
            self._process = None

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    _command(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # a model that prints must not write into the service's output
                    pass_fds=(theirs.fileno(),),
                    env=worker_environment(os.environ),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for the service, which drains first
                )
            self._control = ours
        return self._control


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the service's environment the workers see."""
    passed = {name: environment[name] for name in PASSED_VARIABLES if name in environment}
    return {**passed, **ONE_THREAD}


def _command(control_fd: int) -> list[str]:
    return [
        sys.executable,
        "-P",  # no module of the current folder may shadow an installed one
        "-m",
        WORKER_MODULE,
        f"--control-fd={control_fd}",
        f"--parent-pid={os.getpid()}",
    ]
