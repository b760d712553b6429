"""`FeatureEngine` on Feast, which runs in a child process of its own for each materialisation.

Importing Feast takes seconds and 180 MB, and a repository is other people's code; neither belongs
in the process that answers events. This module never imports Feast.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock_chassis.child_process import Ended, run_child
from penstock_features.domain.materialization import (
    Column,
    MaterializeRequest,
    MaterializeResult,
    Progress,
)
from penstock_features.errors import (
    EngineError,
    FeaturesError,
    InvalidRequestError,
    RepositoryError,
)
from penstock_features.ports import ProgressListener

CHILD_MODULE = "penstock_features.adapters.feast_child"
DEFAULT_TIMEOUT_SECONDS = 600.0
DEFAULT_MEMORY_BYTES = 4 * 1024**3
LOG_LINES_SHOWN = 12

_ERRORS: dict[str, type[FeaturesError]] = {
    kind.__name__: kind for kind in (InvalidRequestError, RepositoryError, EngineError)
}


class FeastEngine:
    """Runs Feast in a child, bounded in time and in resident memory.

    `environment` is added to the child's short list of variables: what `feature_store.yaml` refers
    to as `${NAME}` must be given here.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._environment = dict(environment or {})

    async def materialize(
        self, request: MaterializeRequest, on_progress: ProgressListener | None = None
    ) -> MaterializeResult:
        """See `FeatureEngine.materialize`."""
        answers: list[dict[str, Any]] = []

        def on_line(line: dict[str, Any]) -> None:
            if "progress" not in line:
                answers.append(line)
            elif on_progress is not None:
                on_progress(Progress(**line["progress"]))

        message = {"request": request.to_json(), "memory_bytes": self._memory_bytes}
        try:
            ended = await run_child(
                CHILD_MODULE,
                message,
                on_line=on_line,
                timeout_seconds=self._timeout_seconds,
                environment=self._environment,
            )
        except TimeoutError as error:
            raise EngineError(
                f"stopped after {self._timeout_seconds:g} s; give the engine more time, or "
                "materialise fewer rows"
            ) from error
        return _answer(answers, ended)


def _answer(answers: list[dict[str, Any]], ended: Ended) -> MaterializeResult:
    if not answers:
        raise EngineError(_epitaph(ended))
    last = answers[-1]
    if "error" in last:
        raise _ERRORS[last["error"]["kind"]](last["error"]["message"])
    return result_from_json(last["result"])


def _epitaph(ended: Ended) -> str:
    how = f"signal {-ended.status}" if ended.status < 0 else f"status {ended.status}"
    lines = ended.log_tail.strip().splitlines()[-LOG_LINES_SHOWN:]
    return f"Feast's process ended with {how} and no answer; its last words:\n" + "\n".join(lines)


def result_from_json(data: Mapping[str, Any]) -> MaterializeResult:
    """Read the child's result."""
    values = dict(data)
    for name in ("training", "holdout", "repository"):
        values[name] = Path(values[name])
    for name in ("holdout_after", "online_as_of"):
        values[name] = datetime.fromisoformat(values[name])
    values["columns"] = tuple(Column(**column) for column in values["columns"])
    values["online_views"] = tuple(values["online_views"])
    values["warnings"] = tuple(values["warnings"])
    return MaterializeResult(**values)
