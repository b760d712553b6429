"""Brings revisions up on the model host, in the order of the log: the shell around `domain`."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import ChassisError, DigestMismatch, NotFound
from penstock_chassis.ports import Clock, ObjectStore
from penstock_schemas import Event, ObjectRef, RolloutStarted
from penstock_serving.domain import (
    Key,
    State,
    current,
    decide_completed,
    decide_rolledback,
    unfinished,
)
from penstock_serving.errors import InvalidModel, ServingError, StartFailed
from penstock_serving.ports import EndpointKey, ModelHost, RevisionSpec

MODEL_FOLDER = "model"
"""Where the model lies in a job's output folder."""
RESTORE_PAUSE_SECONDS = 5.0
"""Between two attempts to bring up what could not be brought up after a start."""

log = structlog.get_logger("penstock.serving")


@dataclass
class Supervisor:
    """Does on the host what the log says, one step at a time for each endpoint.

    Everything may be repeated: a revision that is up is not started again, a rollout that has its
    end is left alone, and an endpoint is never routed to an older revision.
    """

    desk: Decider[State]
    objects: ObjectStore
    host: ModelHost
    clock: Clock
    cache_dir: Path
    """Artifacts by digest; all of it can be fetched again."""
    _endpoints: defaultdict[Key, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )
    _fetches: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    async def settle(self, key: Key, after: int = 0) -> None:
        """Bring up what serves, then finish every rollout of the endpoint, oldest first.

        Raises a `ChassisError` where the bus or the object store does not answer, or a
        `RevisionConflict` where a worker died before the switch; call it again.
        """
        async with self._endpoints[key]:
            await self.desk.fold.reach(after)
            try:
                await self._restore(key)
            except (ServingError, ChassisError) as error:
                # A newer rollout may be what heals it; `restore` tries again.
                log.warning("endpoint is not up again", endpoint="/".join(key), error=str(error))
            while (rollout := unfinished(self.desk.fold.state, key)) is not None:
                rule = await self._roll_out(key[0], rollout.started)
                await self.desk.decide(rollout.cause, rule)
                # Until the fold holds what was just appended.
                await self.desk.decide(rollout.cause, lambda _: ())
            await self._stop_others(key)

    async def _roll_out(
        self, namespace: str, revision: RolloutStarted
    ) -> Callable[[State], list[Event]]:
        """Bring the revision up and switch to it; how the rollout ends."""
        try:
            await self._bring_up(namespace, revision)
        except (StartFailed, InvalidModel, NotFound, DigestMismatch) as error:
            reason = f"the model could not be loaded: {error}"
            return partial(decide_rolledback, ns=namespace, revision=revision, reason=reason)
        now = self.clock.now()
        return partial(decide_completed, ns=namespace, revision=revision, now=now)

    async def restore(self) -> None:
        """After a start: bring up every endpoint, and finish what was under way; then return."""
        waiting = set(self.desk.fold.state.rollouts)
        while waiting:
            for key in sorted(waiting):
                try:
                    await self.settle(key)
                except (ServingError, ChassisError) as error:
                    log.warning("endpoint is not up yet", endpoint="/".join(key), error=str(error))
                if await self._is_up(key):
                    waiting.discard(key)
            if waiting:
                await asyncio.sleep(RESTORE_PAUSE_SECONDS)

    async def _restore(self, key: Key) -> None:
        serving = current(self.desk.fold.state, key)
        if serving is not None and not await self._is_routed(key):
            await self._bring_up(key[0], serving.started)

    async def _is_up(self, key: Key) -> bool:
        """Whether nothing is under way and what the log says serves is routed."""
        state = self.desk.fold.state
        if unfinished(state, key) is not None:
            return False
        return current(state, key) is None or await self._is_routed(key)

    async def _is_routed(self, key: Key) -> bool:
        return EndpointKey(*key) in (await self.host.state()).routes

    async def _bring_up(self, namespace: str, revision: RolloutStarted) -> None:
        folder = await self._fetch(revision.artifact)
        spec = RevisionSpec(
            namespace=namespace,
            endpoint=revision.endpoint,
            revision=revision.revision,
            model=revision.model,
            model_version=str(revision.model_version),
            model_dir=folder / MODEL_FOLDER,
        )
        await self.host.start(spec)
        await self.host.route(spec.endpoint_key, spec.revision_id)

    async def _fetch(self, artifact: ObjectRef) -> Path:
        if artifact.kind != "folder":
            raise InvalidModel("the artifact is a file: it must be a folder that holds model/")
        target = self.cache_dir / artifact.digest.replace(":", "-")
        async with self._fetches[artifact.digest]:
            # A fetch puts the whole folder in its place or nothing.
            if not target.is_dir():
                await self.objects.fetch(artifact, target)
        return target

    async def _stop_others(self, key: Key) -> None:
        """Stop what the endpoint no longer routes to; requests in hand are answered first."""
        state = await self.host.state()
        routed = state.routes.get(EndpointKey(*key))
        for revision_id, status in state.revisions.items():
            if status.spec.endpoint_key == EndpointKey(*key) and revision_id != routed:
                await self.host.stop(revision_id)
