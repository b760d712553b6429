"""The processes that run models: one template, and one worker per revision forked from it.

`python -P -m penstock_serving.adapters.worker --control-fd N` is the template: it imports the
heavy libraries once (seconds), stays single-threaded, and forks a worker whenever it receives a
socket and a model folder on its control socket (milliseconds; memory shared by copy-on-write).
A worker loads, warms up, says READY, and then answers batches one at a time until its socket
ends. Each dies with its parent: the template with the service, the workers with the template.
Neither holds credentials: the environment is an allow-list (see `worker_template`).
"""

import argparse
import ctypes
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from penstock_serving.adapters.frames import HEADER, BrokenFrame, Kind, decode_header, encode_frame
from penstock_serving.errors import InvalidModel, ServingError

PR_SET_PDEATHSIG = 1
MAX_ORDER_BYTES = 64 * 1024

_PRELOADED = (
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "penstock_serving.adapters.sklearn_runtime",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the template until its control socket ends."""
    parser = argparse.ArgumentParser(description="Fork model workers on demand.")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    options = parser.parse_args(arguments)
    die_with_parent(options.parent_pid)
    for module in _PRELOADED:
        __import__(module)
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, the shared pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; the front sees the sockets
    with socket.socket(fileno=options.control_fd) as control:
        return serve_template(control)


def serve_template(control: socket.socket) -> int:
    """Fork one worker per order; returns 0 when the control socket ends."""
    template_pid = os.getpid()
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, MAX_ORDER_BYTES, 1)
        if not order:
            return 0
        if os.fork() == 0:
            # os._exit: the child must not run the template's clean-up.
            try:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                die_with_parent(template_pid)
                with socket.socket(fileno=descriptors[0]) as link:
                    serve_worker(link, Path(orjson.loads(order)["model_dir"]))
            except (BrokenPipeError, ConnectionResetError):
                pass  # the service has no more use for this worker
            except BaseException:  # noqa: BLE001 the process ends here; the log says why
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def serve_worker(link: socket.socket, model_dir: Path) -> None:
    """Load the model, say so, answer batches; returns when the link ends."""
    from penstock_serving.adapters.sklearn_runtime import load  # noqa: PLC0415 seconds of imports

    started = time.perf_counter()
    link.sendall(encode_frame(Kind.BORN, {"pid": os.getpid()}))
    try:
        model = load(model_dir)
    except ServingError as error:
        link.sendall(encode_frame(Kind.FAILED, {"reason": error.reason}))
        return
    model.warm_up()
    ready = {
        "start_seconds": time.perf_counter() - started,
        "rss_bytes": resident_bytes(),
        "notes": model.notes,
    }
    link.sendall(encode_frame(Kind.READY, ready))
    with link.makefile("rb", buffering=1024 * 1024) as stream:
        while header := stream.read(HEADER.size):
            kind, length = decode_header(header)
            if kind is not Kind.BATCH:
                raise BrokenFrame(f"a worker takes batches, not {kind.name}")
            body = stream.read(length)
            if len(body) < length:  # the service ended in the middle of a word
                return
            batch = orjson.loads(body)
            link.sendall(encode_frame(Kind.RESULTS, answer_batch(model, batch)))


def answer_batch(model: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """One result per request; where the batch as a whole fails, each request is tried alone."""
    rows: list[int] = batch["rows"]
    columns: list[list[Any]] = batch["columns"]
    try:
        return predict_together(model, columns, rows, batch["outputs"])
    except Exception as error:  # noqa: BLE001 a model's own code may raise anything
        if len(rows) == 1:
            # An InvalidModel says it all; other errors are named by their class.
            name = "" if isinstance(error, InvalidModel) else f"{type(error).__name__}: "
            return [{"error": f"the model raised {name}{error}"}]
    results, start = [], 0
    for count, names in zip(rows, batch["outputs"], strict=True):
        part = [column[start : start + count] for column in columns]
        results += answer_batch(model, {"columns": part, "rows": [count], "outputs": [names]})
        start += count
    return results


def predict_together(
    model: Any, columns: list[list[Any]], rows: list[int], outputs: list[list[str]]
) -> list[dict[str, Any]]:
    """Predict all rows in one call and cut the answer by request."""
    wanted = list(dict.fromkeys(name for names in outputs for name in names))
    arrays = model.predict(columns, wanted)
    results, start = [], 0
    for count, names in zip(rows, outputs, strict=True):
        values = [arrays[name][start : start + count].ravel().tolist() for name in names]
        results.append({"outputs": values})
        start += count
    return results


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel (Linux) for SIGKILL when the parent dies; elsewhere the sockets' end does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the kernel was asked
        os._exit(0)


def resident_bytes() -> int | None:
    """Resident memory of this process in bytes, shared pages included; None where unknown."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
