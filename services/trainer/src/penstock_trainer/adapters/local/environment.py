"""The environment of a rank: the contract between a script and the platform. Pure.

Scripts inherit a short list of the platform's own variables and nothing else: what the platform
was started with (credentials above all) is no business of people's code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from penstock_trainer.adapters.local.layout import AttemptPaths
from penstock_trainer.ports import AttemptSpec

PASSED_ON: Final = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CUDA_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
PASSED_ON_PREFIX: Final = "LC_"
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FRUGAL: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""Freed memory goes back to the machine, which many jobs share (measured for a training script on
Arrow data: 170 MB of its own instead of 290). The thresholds are bytes; glibc would raise them by
itself until freed arrays stay. A job's own `env` may say otherwise."""
FALLBACK_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


def shared_environment(
    spec: AttemptSpec,
    paths: AttemptPaths,
    base: Mapping[str, str],
    python: Path,
    resume_from: Path | None,
) -> dict[str, str]:
    """Return the environment that all ranks share.

    `base` is the platform's own; `python` comes first on the path; `resume_from` is a folder of
    checkpoints of an earlier attempt.
    """
    environment = {
        name: value
        for name, value in base.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)
    }
    environment["PATH"] = f"{python.parent}:{base.get('PATH', FALLBACK_PATH)}"
    environment["PYTHONUNBUFFERED"] = "1"  # so that logs are seen while the script runs
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(str(index) for index in spec.gpu_indices)
    environment.update(FRUGAL)
    if spec.cpu_threads is not None:
        environment.update(dict.fromkeys(THREAD_VARIABLES, str(spec.cpu_threads)))
    environment.update(spec.env)
    environment.update(
        PENSTOCK_JOB=spec.job,
        PENSTOCK_NAMESPACE=spec.namespace,
        PENSTOCK_ATTEMPT=str(spec.attempt),
        PENSTOCK_WORLD_SIZE=str(spec.ranks),
        PENSTOCK_PARAMS=json.dumps(dict(spec.params)),
        PENSTOCK_INPUTS=json.dumps({name: str(path) for name, path in spec.inputs.items()}),
        PENSTOCK_METRICS=str(paths.metrics),
        PENSTOCK_RESULT=str(paths.result),
        PENSTOCK_OUTPUT_DIR=str(paths.outputs),
        PENSTOCK_CHECKPOINT_DIR=str(paths.job.checkpoints),
    )
    if resume_from is not None:
        environment["PENSTOCK_RESUME_FROM"] = str(resume_from)
    return environment


def rank_environments(spec: AttemptSpec) -> list[dict[str, str]]:
    """Return what each rank has of its own."""
    return [{"PENSTOCK_RANK": str(rank)} for rank in range(spec.ranks)]
