"""The nouns with more to them than list, get, find and wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from penstock.client.aio.noun import AsyncNoun, Moment
from penstock.client.errors import NotFound, Refused
from penstock.client.files import named_files
from penstock.client.inference import Prediction, inference_request, prediction_of
from penstock.client.records import Published, Wish, write_time

if TYPE_CHECKING:
    from penstock.client.aio.client import AsyncClient
    from penstock_schemas import (
        Gate,
        ModelTarget,
        ObjectRef,
        Resources,
        TrialCompleted,
        TriggerRequested,
    )

BACKTEST_SECONDS_MAX = 330.0
"""How long the answer to a backtest is waited for: the platform gives up before."""
Given = Mapping[str, "str | Path | ObjectRef"]
"""Inputs by name: a path is uploaded, a reference is passed on."""


class AsyncJobs(AsyncNoun):
    """`client.job`: people's code, placed and run."""

    noun = "job"

    async def run(
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

        return await self._ask(
            JobRequested(
                job=name or new_id(),
                program=await self._client.program(command, source),
                queue=queue,
                params=dict(params or {}),
                inputs=await self._client.inputs(inputs or {}),
                resources=resources or Resources(),
                max_attempts=max_attempts,
                target=target,
            )
        )

    async def why(self, id: str) -> dict[str, Any]:
        """Why it is where it is: `status`, one `sentence`, and the `events` with their reasons."""
        return dict(await self._transport.get(self._path(id, "why")))

    async def metrics(self, id: str) -> Sequence[dict[str, Any]]:
        """What it reported while it ran: `step`, `time` and `metrics` each, in order."""
        return list((await self._transport.get(self._path(id, "metrics")))["points"])

    async def logs(self, id: str) -> str:
        """What it printed."""
        return await self._transport.text(self._path(id, "logs"))

    async def cancel(self, id: str, *, reason: str = "asked for") -> Wish:
        """Ask for its end, wherever it is."""
        from penstock_schemas import JobCancelRequested  # noqa: PLC0415

        return await self._ask(JobCancelRequested(job=id, reason=reason))


class AsyncDatasets(AsyncNoun):
    """`client.dataset`: versions of tables that many share."""

    noun = "dataset"

    async def register(
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
        manifest = await self._client.upload_files(files, progress=progress)
        return await self._ask(
            DatasetRegistered(
                dataset=name,
                dataset_version=manifest.digest,
                manifest=manifest,
                files=len(files),
                size_bytes=manifest.size_bytes,
                parent=parent,
            )
        )


class AsyncExperiments(AsyncNoun):
    """`client.experiment`: searches for the best parameters."""

    noun = "experiment"

    async def run(
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
            "program": await self._client.program(command, source),
            "space": dict(space),
            "objective": {"metric": metric, "goal": goal},
            "max_trials": max_trials,
            "parallel_trials": parallel_trials,
            "params": dict(params or {}),
            "inputs": await self._client.inputs(inputs or {}),
            "target": target,
        }
        return await self._ask(ExperimentRequested.model_validate(request | more))

    async def best(self, name: str) -> TrialCompleted:
        """Its best trial so far. Raises `NotFound` where no trial has a value yet."""
        from penstock_schemas import ExperimentRequested, TrialCompleted  # noqa: PLC0415

        goal = "maximize"
        async for event in self._client.event.list("experiment.requested", id=name):
            if isinstance(event.data, ExperimentRequested):
                goal = event.data.objective.goal
        best: TrialCompleted | None = None
        async for event in self._client.event.list("trial.completed"):
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


class AsyncModels(AsyncNoun):
    """`client.model`: versions, aliases and where they come from."""

    noun = "model"

    async def lineage(self, name: str) -> dict[str, Any]:
        """What it was made from and where it went: `nodes` and `edges`."""
        return dict(await self._transport.get(self._path(name, "lineage")))

    async def promote(
        self, name: str, version: int, *, alias: str = "champion", gate: Gate | None = None
    ) -> Wish:
        """Put a version forward for an alias, through a gate where one is given."""
        from penstock_schemas import PromotionRequested, new_id  # noqa: PLC0415

        return await self._ask(
            PromotionRequested(
                promotion=new_id(), model=name, model_version=version, alias=alias, gate=gate
            )
        )


class AsyncEndpoints(AsyncNoun):
    """`client.endpoint`: models that answer."""

    noun = "endpoint"

    async def predict(self, name: str, table: Any) -> Prediction:
        """Ask the endpoint (Open Inference Protocol v2) about the rows of a table.

        `table` is a DataFrame or a mapping of columns; missing values are None or NaN.
        """
        base = await self._client.serving_url()
        namespace = self._client.namespace
        url = f"{base}/{namespace}/{quote(name, safe='')}/v2/models/{quote(name, safe='')}"
        metadata = await self._transport.get(url)
        request = inference_request(metadata, table)
        return prediction_of(await self._transport.post(f"{url}/infer", request))


class AsyncSources(AsyncNoun):
    """`client.source`: who may send webhooks."""

    noun = "source"

    async def declare(
        self, name: str, scheme: str, secrets: Sequence[str] = (), **more: Any
    ) -> Wish:
        """Ask for a source, or for a change of it; `more` are further fields of `SourceRequested`.

        `secrets` are names of secrets; without any, the secret has the source's name.
        """
        from penstock_schemas import SourceRequested  # noqa: PLC0415

        request = {"source": name, "scheme": scheme, "secrets": tuple(secrets) or (name,)}
        return await self._ask(SourceRequested.model_validate(request | more))


class AsyncSecrets(AsyncNoun):
    """`client.secret`: values that are written here and read by the platform alone."""

    noun = "secret"

    async def set(self, name: str, value: str, *, keep: bool = False) -> dict[str, Any]:
        """Set a value; its fingerprint comes back. With `keep` the former values open, too, until
        the next time without it."""
        body = json.dumps({"value": value, "keep": keep}).encode()
        headers = {"content-type": "application/json", "idempotency-key": uuid4().hex}
        answer = await self._transport.send(
            "PUT", self._path(name), content=lambda: body, headers=headers
        )
        return dict(answer.json())

    async def delete(self, name: str) -> None:
        """Remove it with all its values. Raises `NotFound`."""
        headers = {"idempotency-key": uuid4().hex}
        await self._transport.send("DELETE", self._path(name), headers=headers)


class AsyncSubscriptions(AsyncNoun):
    """`client.subscription`: which events are sent to whose URL."""

    noun = "subscription"

    async def add(
        self,
        name: str,
        url: str,
        types: Sequence[str],
        *,
        secret: str | None = None,
        ordered: bool = False,
        headers: Mapping[str, str] | None = None,
        paused: bool = False,
    ) -> Wish:
        """Ask for a subscription, for a change of it, or for it to begin anew where it was
        disabled.

        `types` are event types or patterns (`job.*`); `secret` names the secret that signs, the
        subscription's own name without it.
        """
        from penstock_schemas import SubscriptionRequested  # noqa: PLC0415

        return await self._ask(
            SubscriptionRequested(
                subscription=name,
                url=url,
                types=tuple(types),
                secret=secret or name,
                ordered=ordered,
                headers=dict(headers or {}),
                paused=paused,
            )
        )

    async def remove(self, name: str, *, reason: str = "asked for") -> Wish:
        """Ask for its end; what waits is forgotten."""
        from penstock_schemas import SubscriptionRemoveRequested  # noqa: PLC0415

        return await self._ask(SubscriptionRemoveRequested(subscription=name, reason=reason))

    async def replay(
        self,
        name: str,
        *,
        after: int = 0,
        until: int | None = None,
        since: Moment = None,
    ) -> Wish:
        """Ask that what matches in a stretch of the log is sent again, under the same ids.

        `after` and `until` are sequences of the log, `since` is a time.
        """
        from penstock_schemas import SubscriptionReplayRequested  # noqa: PLC0415

        request = {"subscription": name, "after": after, "until": until, "since": since}
        return await self._ask(SubscriptionReplayRequested.model_validate(request))

    async def deliveries(
        self, name: str, *, failed: bool | None = None, after: int = 0, limit: int = 100
    ) -> dict[str, Any]:
        """A page of its tries (`items`, oldest first; `next` is the `after` of the following page)
        and what waits (`outbox`)."""
        flag = None if failed is None else str(failed).lower()
        params = {"failed": flag, "after": after, "limit": limit}
        return dict(await self._transport.get(self._path(name, "delivery"), params))

    async def test(self, name: str) -> dict[str, Any]:
        """Post a delivery of no event now; what came of it."""
        return dict(await self._transport.post(self._path(name, "test")))


class AsyncDeadLetters:
    """`client.deadletter`: messages that no try could handle, of every namespace."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def list(self) -> Sequence[dict[str, Any]]:
        """All of them, oldest first."""
        return list((await self._client.transport.get("/v1/deadletter"))["items"])

    async def get(self, position: int) -> dict[str, Any]:
        """One, with its traceback and payload. Raises `NotFound`."""
        for letter in await self.list():
            if letter["position"] == position:
                return letter
        raise NotFound(f"there is no dead letter {position}", hint="penstock deadletter ls")

    async def retry(self, position: int) -> dict[str, Any]:
        """Append the message again and drop the letter."""
        return dict(await self._client.transport.post(f"/v1/deadletter/{position}/retry"))

    async def drop(self, position: int) -> None:
        """Throw it away."""
        await self._client.transport.send("DELETE", f"/v1/deadletter/{position}")


class AsyncTriggers(AsyncNoun):
    """`client.trigger`: when this happens, do that."""

    noun = "trigger"

    async def apply(self, definition: TriggerRequested | Mapping[str, Any]) -> Wish:
        """Declare a trigger, in place of the one of the same name.

        Raises `Refused`, with the field and the fix, where it could never work.
        """
        from penstock_schemas import TriggerRequested  # noqa: PLC0415

        if isinstance(definition, TriggerRequested):
            definition = definition.model_dump(mode="json", exclude_none=True)
        document = dict(definition)
        name = str(document.get("trigger", ""))
        if not name:
            raise Refused("the definition has no name", hint="trigger: retrain")
        await self._transport.post(self._path(name, "dry-run"), {"definition": document})
        return await self._ask(TriggerRequested.model_validate(document))

    async def pause(self, name: str, *, reason: str = "") -> Wish:
        """Judge nothing that comes from here on; what was gathered is dropped."""
        from penstock_schemas import TriggerPauseRequested  # noqa: PLC0415

        return await self._ask(TriggerPauseRequested(trigger=name, reason=reason))

    async def resume(self, name: str) -> Wish:
        """Judge again what comes from here on."""
        from penstock_schemas import TriggerResumeRequested  # noqa: PLC0415

        return await self._ask(TriggerResumeRequested(trigger=name))

    async def delete(
        self, name: str, *, reason: str = "", if_match: int | None = None
    ) -> Published:
        """Delete it with all that it had not fired yet; declared again, it begins anew.

        With `if_match` only where its declaration has not changed since that sequence of the log
        (a row's or a declaration's). Raises `NotFound`, and `Refused` where it has changed.
        """
        headers = {"idempotency-key": uuid4().hex}
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        params = {"reason": reason or None}
        answer = await self._transport.send(
            "DELETE", self._path(name), params=params, headers=headers
        )
        found = answer.json()
        return Published(found["id"], int(found["sequence"]), found["duplicate"])

    async def fire(self, name: str, data: Mapping[str, Any] | None = None) -> Wish:
        """Fire now, once, whatever its condition, its timing and a pause say; `data` is `event`
        in its expressions."""
        from penstock_schemas import TriggerFireRequested  # noqa: PLC0415

        return await self._ask(TriggerFireRequested(trigger=name, data=dict(data or {})))

    async def dry_run(
        self,
        name: str,
        event: int | str | Mapping[str, Any],
        *,
        definition: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What one event would make it ask for, its timing aside: `fires`, `reason`, `produces`.

        `event` is the sequence or the id of a recorded one, or `{"type": …, "data": …}`;
        `definition` takes the place of the one that stands.
        """
        body = {"event": dict(event) if isinstance(event, Mapping) else event}
        return dict(
            await self._transport.post(self._path(name, "dry-run"), _with(body, definition))
        )

    async def backtest(
        self,
        name: str,
        *,
        since: Moment = None,
        until: Moment = None,
        definition: Mapping[str, Any] | None = None,
        run_seconds: float | None = None,
    ) -> dict[str, Any]:
        """What it would have fired over a stretch of the log, by default all of it, and the
        `difference` to what did happen. `run_seconds` is how long what it asks for is taken to
        run, where `concurrency` goes by that."""
        body: dict[str, Any] = {"since": write_time(since), "until": write_time(until)}
        if run_seconds is not None:
            body["run_seconds"] = run_seconds
        path = self._path(name, "backtest")
        timeout_seconds = BACKTEST_SECONDS_MAX
        answer = await self._transport.post(
            path, _with(body, definition), timeout_seconds=timeout_seconds
        )
        return dict(answer)

    async def explain(self, event: int | str) -> Sequence[dict[str, Any]]:
        """For each trigger, whether it fired for an event (sequence or id), and `why`."""
        found = await self._transport.get(self._path("explain"), {"event": str(event)})
        return list(found["items"])


def _with(body: dict[str, Any], definition: Mapping[str, Any] | None) -> dict[str, Any]:
    return body if definition is None else {**body, "definition": dict(definition)}
