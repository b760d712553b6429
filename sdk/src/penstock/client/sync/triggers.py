# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""The triggers: declared, paused, fired by hand, and tried on events and on the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from penstock.client.errors import Refused
from penstock.client.records import Published, Wish, write_time
from penstock.client.sync.noun import Moment, Noun

if TYPE_CHECKING:
    from penstock_schemas import TriggerRequested

BACKTEST_SECONDS_MAX = 330.0
"""How long the answer to a backtest is waited for: the platform gives up before."""


class Triggers(Noun):
    """`client.trigger`: when this happens, do that."""

    noun = "trigger"

    def apply(self, definition: TriggerRequested | Mapping[str, Any]) -> Wish:
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
        self._transport.post(self._path(name, "dry-run"), {"definition": document})
        return self._ask(TriggerRequested.model_validate(document))

    def pause(self, name: str, *, reason: str = "") -> Wish:
        """Judge nothing that comes from here on; what was gathered is dropped."""
        from penstock_schemas import TriggerPauseRequested  # noqa: PLC0415

        return self._ask(TriggerPauseRequested(trigger=name, reason=reason))

    def resume(self, name: str) -> Wish:
        """Judge again what comes from here on."""
        from penstock_schemas import TriggerResumeRequested  # noqa: PLC0415

        return self._ask(TriggerResumeRequested(trigger=name))

    def delete(self, name: str, *, reason: str = "", if_match: int | None = None) -> Published:
        """Delete it with all that it had not fired yet; declared again, it begins anew.

        With `if_match` only where its declaration has not changed since that sequence of the log
        (a row's or a declaration's). Raises `NotFound`, and `Refused` where it has changed.
        """
        headers = {"idempotency-key": uuid4().hex}
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        params = {"reason": reason or None}
        answer = self._transport.send("DELETE", self._path(name), params=params, headers=headers)
        found = answer.json()
        return Published(found["id"], int(found["sequence"]), found["duplicate"])

    def fire(self, name: str, data: Mapping[str, Any] | None = None) -> Wish:
        """Fire now, once, whatever its condition, its timing and a pause say; `data` is `event`
        in its expressions."""
        from penstock_schemas import TriggerFireRequested  # noqa: PLC0415

        return self._ask(TriggerFireRequested(trigger=name, data=dict(data or {})))

    def dry_run(
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
        return dict(self._transport.post(self._path(name, "dry-run"), _with(body, definition)))

    def backtest(
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
        answer = self._transport.post(
            path, _with(body, definition), timeout_seconds=timeout_seconds
        )
        return dict(answer)

    def explain(self, event: int | str) -> Sequence[dict[str, Any]]:
        """For each trigger, whether it fired for an event (sequence or id), and `why`."""
        found = self._transport.get(self._path("explain"), {"event": str(event)})
        return list(found["items"])


def _with(body: dict[str, Any], definition: Mapping[str, Any] | None) -> dict[str, Any]:
    return body if definition is None else {**body, "definition": dict(definition)}
