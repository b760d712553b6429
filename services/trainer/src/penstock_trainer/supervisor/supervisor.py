"""Tends the attempts that this trainer claimed, in this life or an earlier one, to their end.

Several trainers may read one log, and serve the same nodes or others. They share one consumer, so
that a message may reach a trainer that does not serve its node: nothing rests on having been given
it. Each looks in the log, again and again, for what waits on its nodes and for what is its own.

Which of them starts an attempt is what `job.started` says, the guarded append that only one of
them can make; it names the launcher's identity. So an attempt is started by the launchers of one
identity alone, and at most once there.

Everything a task does may be done again after a crash; an error of one attempt is logged and
tried again with back-off, and touches no other.
"""

import asyncio
import math
from functools import partial

import structlog

from penstock_chassis.decider import Decider
from penstock_chassis.errors import DigestMismatch, NotFound, Unavailable
from penstock_chassis.ports import Ports
from penstock_trainer.domain import (
    Job,
    Outcome,
    State,
    current,
    decide_abandoned,
    decide_end,
    decide_waiting,
    is_abandoned,
)
from penstock_trainer.errors import InvalidAttempt, NotYetGone, Superseded
from penstock_trainer.ports import AttemptId, AttemptState, Launcher, Observation
from penstock_trainer.settings import TrainerSettings
from penstock_trainer.supervisor.reporting import Reporting
from penstock_trainer.supervisor.staging import Staging

POLL_SECONDS = 0.5
"""Between two looks at an attempt's metrics."""
LOOK_SECONDS = 1.0
"""Between two looks at the attempts in the log: some messages reach another trainer alone."""
NOT_GONE_SECONDS = 1.0
BACKOFF_SECONDS = 0.5
BACKOFF_SECONDS_MAX = 30.0
METRIC_NAME_LENGTH_MAX = 128
END_SECONDS_MAX = 5.0
OVER_REASON = "the log says that it is over"

log = structlog.get_logger("penstock.trainer")


class Supervisor:
    """The tasks of one trainer."""

    def __init__(
        self,
        desk: Decider[State],
        ports: Ports,
        launcher: Launcher,
        staging: Staging,
        settings: TrainerSettings,
    ) -> None:
        self.desk = desk
        self._ports = ports
        self._launcher = launcher
        self._staging = staging
        self.runs = settings.runs
        self._ephemeral = settings.ephemeral
        self._identity = ""
        self._tasks: dict[AttemptId, asyncio.Task[None]] = {}
        self._stopped: dict[AttemptId, str] = {}
        """Why a tended attempt was asked to stop, where it was."""
        self._found: dict[AttemptId, bool] = {}
        """Of claims of before trainers had an identity: whether the attempt began here."""

    async def identity(self) -> str:
        """What this trainer claims attempts as."""
        if not self._identity:
            self._identity = await self._launcher.identity()
        return self._identity

    def is_here(self, namespace: str, name: str) -> bool:
        """Whether the job's newest place is a node of this trainer."""
        job = self.desk.fold.state.jobs.get((namespace, name))
        return job is not None and job.placed is not None and self.runs(job.placed.node)

    def tend(self, namespace: str, name: str) -> None:
        """See that the job's attempt has its task, if this trainer claimed it."""
        job = self.desk.fold.state.jobs.get((namespace, name))
        if job is None or not self._is_mine(namespace, job):
            return
        attempt = AttemptId(namespace, name, job.attempt)
        if attempt not in self._tasks:
            self._staging.hold(namespace, job.request)
            self._tasks[attempt] = asyncio.create_task(self._tend(attempt, job))

    async def stop(self, namespace: str, name: str) -> None:
        """Ask the job's attempt to stop where the log says so; its task says how it ended."""
        job = self.desk.fold.state.jobs.get((namespace, name))
        if job is not None and job.stop_reason and self._is_mine(namespace, job):
            attempt = AttemptId(namespace, name, job.attempt)
            await self._launcher.signal_stop(attempt, job.request.grace_seconds, job.stop_reason)
            self._stopped[attempt] = job.stop_reason

    async def adopt(self) -> None:
        """Background work: tend what was claimed in an earlier life, then look again and again.

        That a job was placed or should stop may be delivered to another trainer, and a claim whose
        append was not answered is only seen in the log.
        """
        swept = False
        while True:
            state = self.desk.fold.state
            looks = [(self._claim, key) for key in state.waiting]
            looks += [(self._look, key) for key in state.claimed]
            for look, key in looks:
                try:
                    await look(*key)
                except Exception as error:  # noqa: BLE001 - one job's error, tried again
                    log.warning("look", job="/".join(key), error=repr(error))
            if not swept:
                swept = True
                await self._sweep()
            await self._end_what_is_over()
            await asyncio.sleep(LOOK_SECONDS)

    async def _claim(self, namespace: str, name: str) -> None:
        """Claim an attempt that waits on a node of this trainer, as if its message had come here;
        where it should stop, end it."""
        job = self.desk.fold.state.jobs[namespace, name]
        if not job.waiting or not self.runs(job.place):
            return
        trainer = await self.identity()
        cause = job.cancel_cause or job.placed_cause
        assert cause is not None
        await self.desk.decide(cause, lambda state: decide_waiting(state, namespace, name, trainer))
        await self.desk.settle()
        self.tend(namespace, name)

    async def _look(self, namespace: str, name: str) -> None:
        """Tend and stop what is this trainer's; end what is cancelled and nobody's any more."""
        await self.identity()
        job = self.desk.fold.state.jobs[namespace, name]
        if not job.claimed:
            return
        attempt = AttemptId(namespace, name, job.attempt)
        if not job.started_trainer and attempt not in self._found and self.runs(job.place):
            seen = await self._launcher.observe(attempt)
            self._found[attempt] = seen.state is not AttemptState.ABSENT
        if self._is_mine(namespace, job):
            self.tend(namespace, name)
            if job.stop_reason and self._stopped.get(attempt) != job.stop_reason:
                await self.stop(namespace, name)
        elif self.runs(job.place) and is_abandoned(job, self._ports.clock.now()):
            assert job.cancel_cause is not None
            await self.desk.decide(
                job.cancel_cause,
                lambda state: decide_abandoned(state, namespace, name, self._ports.clock.now()),
            )

    def _is_mine(self, namespace: str, job: Job) -> bool:
        """Whether this trainer, and no other, may start and end the job's claimed attempt."""
        if not job.claimed:
            return False
        if job.started_trainer:
            return job.started_trainer == self._identity
        return self._found.get(AttemptId(namespace, job.request.job, job.attempt), False)

    async def _end_what_is_over(self) -> None:
        """Stop attempts that run although the log has ended them: another trainer said so."""
        for attempt in tuple(self._tasks):
            state = self.desk.fold.state
            over = current(state, attempt.namespace, attempt.job, attempt.attempt) is None
            if over and self._stopped.get(attempt) != OVER_REASON:
                try:
                    await self._launcher.signal_stop(attempt, None, OVER_REASON)
                    self._stopped[attempt] = OVER_REASON
                except Exception as error:  # noqa: BLE001 - one attempt's error, tried again
                    log.warning("over", attempt=str(attempt), error=repr(error))

    async def close(self) -> None:
        """Stop tending. The attempts go on: they outlive the trainer, unless it is ephemeral."""
        attempts, tasks = list(self._tasks), list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ephemeral:
            await asyncio.gather(*map(self._end_now, attempts))

    async def _end_now(self, attempt: AttemptId) -> None:
        """End what nobody will adopt; wait until it is gone, `END_SECONDS_MAX` at most."""
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                await self._launcher.signal_stop(attempt, 0.0, "the platform was a temporary one")
                await self._launcher.watch(attempt)
        except Exception as error:  # noqa: BLE001 - the trainer ends all the same
            log.warning("left running", attempt=str(attempt), error=repr(error))

    async def _sweep(self) -> None:
        """Free what ended before an earlier life could; stop what the log has ended since."""
        try:
            for attempt in await self._launcher.attempts():
                job = self.desk.fold.state.jobs.get((attempt.namespace, attempt.job))
                if job is None or attempt.attempt >= job.attempt > 0:
                    continue
                if (await self._launcher.observe(attempt)).ended:
                    await self._launcher.reap(attempt)
                else:
                    await self._launcher.signal_stop(attempt, None, OVER_REASON)
        except Exception as error:  # noqa: BLE001 - disk not freed now is freed at the next start
            log.warning("sweep", error=repr(error))

    async def _tend(self, attempt: AttemptId, job: Job) -> None:
        reporting = Reporting(attempt, self._launcher, self._ports.telemetry)
        pause_seconds = BACKOFF_SECONDS
        try:
            while True:
                try:
                    return await self._once(attempt, job, reporting)
                except NotYetGone as error:
                    log.info("waiting", attempt=str(attempt), reason=str(error))
                    await asyncio.sleep(NOT_GONE_SECONDS)
                except Exception as error:  # noqa: BLE001 - one attempt's error, tried again
                    log.warning("attempt", attempt=str(attempt), error=repr(error))
                    await asyncio.sleep(pause_seconds)
                    pause_seconds = min(2 * pause_seconds, BACKOFF_SECONDS_MAX)
        finally:
            self._staging.release(attempt.namespace, job.request)
            self._tasks.pop(attempt, None)
            self._stopped.pop(attempt, None)

    async def _once(self, attempt: AttemptId, job: Job, reporting: Reporting) -> None:
        seen = await self._launcher.observe(attempt)
        if seen.state is AttemptState.ABSENT:
            now = current(self.desk.fold.state, attempt.namespace, attempt.job, attempt.attempt)
            if now is None:
                return
            refusal = now.stop_reason or await self._start(attempt, job)
            if refusal:
                await self._end(attempt, job, Outcome(False, refusal, permanent=True))
                return
        await self.stop(attempt.namespace, attempt.job)
        seen = await self._follow(attempt, reporting)
        log_tail = await reporting.end()
        await self._end(attempt, job, await self._outcome(attempt, seen, log_tail))
        await self._launcher.reap(attempt)

    async def _start(self, attempt: AttemptId, job: Job) -> str:
        """Start it; why it can never start, or nothing."""
        assert job.placed is not None
        try:
            spec = await self._staging.spec(attempt.namespace, job.request, job.placed)
            await self._launcher.start(spec)
        except NotYetGone:
            for other in await self._launcher.attempts():
                same = (other.namespace, other.job) == (attempt.namespace, attempt.job)
                if same and other.attempt < attempt.attempt:
                    await self._launcher.signal_stop(other, None, "superseded")
            raise
        except (NotFound, DigestMismatch) as error:
            return f"an input or the source is not what was asked for: {error}"
        except (InvalidAttempt, Superseded) as error:
            return str(error)
        return ""

    async def _follow(self, attempt: AttemptId, reporting: Reporting) -> Observation:
        watch = asyncio.create_task(self._launcher.watch(attempt))
        try:
            while True:
                done, _ = await asyncio.wait({watch}, timeout=POLL_SECONDS)
                if done:
                    return watch.result()
                try:
                    await reporting.live()
                except Unavailable as error:
                    log.warning("telemetry", attempt=str(attempt), error=str(error))
        finally:
            watch.cancel()

    async def _outcome(self, attempt: AttemptId, seen: Observation, log_tail: str) -> Outcome:
        record = seen.record
        if record is None:
            return Outcome(False, seen.why or "the attempt was lost", log_tail=log_tail)
        seconds = max(0.0, record.ended_at - record.started_at)
        failed = partial(Outcome, False, log_tail=log_tail, seconds=seconds)
        if not record.succeeded:
            return failed(reason=record.reason, exit_code=record.exit_code)
        left = await self._launcher.collect(attempt)
        if left.result_refused:
            return failed(reason=f"its result is not valid: {left.result_refused}", exit_code=0)
        output = None
        if left.output_dir is not None:
            try:
                output = await self._ports.objects.put_folder(attempt.namespace, left.output_dir)
            except ValueError as error:
                return failed(reason=f"its output cannot be stored: {error}", exit_code=0)
        found = (left.result or {}).get("metrics") or {}
        metrics = {
            name: float(value)
            for name, value in found.items()
            if 0 < len(name) <= METRIC_NAME_LENGTH_MAX and math.isfinite(value)
        }
        return Outcome(True, metrics=metrics, output=output, seconds=seconds)

    async def _end(self, attempt: AttemptId, job: Job, outcome: Outcome) -> None:
        assert job.started_cause is not None
        await self.desk.decide(
            job.started_cause,
            lambda state: decide_end(
                state, attempt.namespace, attempt.job, attempt.attempt, outcome
            ),
        )
