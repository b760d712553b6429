# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""The nouns of the lifecycle that have more to them than list, get, find and wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.client.errors import NotFound
from penstock.client.files import named_files
from penstock.client.inference import Prediction, inference_request, prediction_of
from penstock.client.records import Wish
from penstock.client.sync.noun import Noun

if TYPE_CHECKING:
    from penstock_schemas import (
        Gate,
        ModelTarget,
        ObjectRef,
        Resources,
        TrialCompleted,
    )

Given = Mapping[str, "str | Path | ObjectRef"]
"""Inputs by name: a path is uploaded, a reference is passed on."""


class Jobs(Noun):
    """`client.job`: people's code, placed and run."""

    noun = "job"

    def run(
        self,
        command: Sequence[str],
        *,
        name: str | None = None,
        source: str | Path | ObjectRef | None = None,
        params: Mapping[str, Any] | None = None,
        inputs: Given | None = None,
        queue: str = "default",
        resources: Resources | None = None,
        max_attempts: int = 3,
        target: ModelTarget | None = None,
    ) -> Wish:
        """Ask for a job; returns once the wish is durable in the log.

        `command` runs in a folder that holds `source` (a file, a folder, or a reference); the word
        `{python}` stands for the interpreter there. `target` registers the model that it saves.
        """
        from penstock_schemas import JobRequested, Resources, new_id  # noqa: PLC0415

        return self._ask(
            JobRequested(
                job=name or new_id(),
                program=self._client.program(command, source),
                queue=queue,
                params=dict(params or {}),
                inputs=self._client.inputs(inputs or {}),
                resources=resources or Resources(),
                max_attempts=max_attempts,
                target=target,
            )
        )

    def why(self, id: str) -> dict[str, Any]:
        """Why it is where it is: `status`, one `sentence`, and the `events` with their reasons."""
        return dict(self._transport.get(self._path(id, "why")))

    def metrics(self, id: str) -> Sequence[dict[str, Any]]:
        """What it reported while it ran: `step`, `time` and `metrics` each, in order."""
        return list((self._transport.get(self._path(id, "metrics")))["points"])

    def logs(self, id: str) -> str:
        """What it printed."""
        return self._transport.text(self._path(id, "logs"))

    def cancel(self, id: str, *, reason: str = "asked for") -> Wish:
        """Ask for its end, wherever it is."""
        from penstock_schemas import JobCancelRequested  # noqa: PLC0415

        return self._ask(JobCancelRequested(job=id, reason=reason))


class Datasets(Noun):
    """`client.dataset`: versions of tables that many share."""

    noun = "dataset"

    def register(
        self,
        name: str,
        source: str | Path | Sequence[str | Path],
        *,
        parent: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Wish:
        """Upload a folder or files as a version; returns once the version is durable in the log.

        `parent` is the digest of the version that it was made from; `progress` hears the bytes.
        """
        from penstock_schemas import DatasetRegistered  # noqa: PLC0415

        files = named_files(source)
        manifest = self._client.upload_files(files, progress=progress)
        return self._ask(
            DatasetRegistered(
                dataset=name,
                dataset_version=manifest.digest,
                manifest=manifest,
                files=len(files),
                size_bytes=manifest.size_bytes,
                parent=parent,
            )
        )


class Experiments(Noun):
    """`client.experiment`: searches for the best parameters."""

    noun = "experiment"

    def run(
        self,
        name: str,
        command: Sequence[str],
        *,
        space: Mapping[str, Any],
        metric: str,
        goal: str = "maximize",
        max_trials: int = 8,
        parallel_trials: int = 1,
        source: str | Path | ObjectRef | None = None,
        params: Mapping[str, Any] | None = None,
        inputs: Given | None = None,
        target: ModelTarget | None = None,
        **more: Any,
    ) -> Wish:
        """Ask for an experiment; `more` are further fields of `ExperimentRequested`.

        `space` holds distributions by parameter, `Float(kind="float", low=0.02, high=0.3)` and so
        on, or the same as dicts.
        """
        from penstock_schemas import ExperimentRequested  # noqa: PLC0415

        request = {
            "experiment": name,
            "program": self._client.program(command, source),
            "space": dict(space),
            "objective": {"metric": metric, "goal": goal},
            "max_trials": max_trials,
            "parallel_trials": parallel_trials,
            "params": dict(params or {}),
            "inputs": self._client.inputs(inputs or {}),
            "target": target,
        }
        return self._ask(ExperimentRequested.model_validate(request | more))

    def best(self, name: str) -> TrialCompleted:
        """Its best trial so far. Raises `NotFound` where no trial has a value yet."""
        from penstock_schemas import ExperimentRequested, TrialCompleted  # noqa: PLC0415

        goal = "maximize"
        for event in self._client.event.list("experiment.requested", id=name):
            if isinstance(event.data, ExperimentRequested):
                goal = event.data.objective.goal
        best: TrialCompleted | None = None
        for event in self._client.event.list("trial.completed"):
            if event.payload.get("experiment") != name:
                continue
            trial = event.data
            assert isinstance(trial, TrialCompleted)
            if best is None or (trial.value > best.value) == (goal == "maximize"):
                best = trial
        if best is None:
            raise NotFound(
                f"no trial of experiment {name!r} has a value yet",
                hint=f"penstock experiment show {name}",
            )
        return best


class Models(Noun):
    """`client.model`: versions, aliases and where they come from."""

    noun = "model"

    def lineage(self, name: str) -> dict[str, Any]:
        """What it was made from and where it went: `nodes` and `edges`."""
        return dict(self._transport.get(self._path(name, "lineage")))

    def promote(
        self, name: str, version: int, *, alias: str = "champion", gate: Gate | None = None
    ) -> Wish:
        """Put a version forward for an alias, through a gate where one is given."""
        from penstock_schemas import PromotionRequested, new_id  # noqa: PLC0415

        return self._ask(
            PromotionRequested(
                promotion=new_id(), model=name, model_version=version, alias=alias, gate=gate
            )
        )


class Endpoints(Noun):
    """`client.endpoint`: models that answer."""

    noun = "endpoint"

    def predict(self, name: str, table: Any) -> Prediction:
        """Ask the endpoint (Open Inference Protocol v2) about the rows of a table.

        `table` is a DataFrame or a mapping of columns; missing values are None or NaN.
        """
        base = self._client.serving_url()
        namespace = self._client.namespace
        url = f"{base}/{namespace}/{quote(name, safe='')}/v2/models/{quote(name, safe='')}"
        metadata = self._transport.get(url)
        request = inference_request(metadata, table)
        return prediction_of(self._transport.post(f"{url}/infer", request))
