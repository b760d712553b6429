"""What every launcher promises, on the fake and on real processes alike."""

from __future__ import annotations

import asyncio
import signal

import pytest

from penstock_schemas import is_name
from penstock_trainer.errors import NotYetGone, Superseded
from penstock_trainer.ports import AttemptId, AttemptState

WATCH_SECONDS = 20.0


async def watched(rig, attempt):
    return await asyncio.wait_for(rig.launcher.watch(attempt), WATCH_SECONDS)


async def test_an_attempt_that_was_never_started_is_absent(rig):
    attempt = AttemptId("tests", "job-1", 1)
    assert (await rig.launcher.observe(attempt)).state is AttemptState.ABSENT
    assert (await watched(rig, attempt)).state is AttemptState.ABSENT
    await rig.launcher.signal_stop(attempt)
    await rig.launcher.reap(attempt)
    assert await rig.launcher.attempts() == ()


async def test_its_identity_is_a_name_that_stays_the_same(rig):
    first = await rig.launcher.identity()
    await rig.launcher.start(rig.spec())
    assert is_name(first)
    assert await rig.launcher.identity() == first


async def test_a_script_that_ends_well_leaves_a_record_of_success(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    assert (await rig.launcher.observe(spec.id)).state is AttemptState.RUNNING
    await rig.end(spec.id)
    seen = await watched(rig, spec.id)
    assert seen.state is AttemptState.EXITED
    assert seen.record is not None
    assert seen.record.succeeded
    assert (seen.record.exit_code, seen.record.signal) == (0, None)
    assert seen.record.reason == "finished"
    assert seen.record.started_at <= seen.record.ended_at
    assert await rig.launcher.observe(spec.id) == seen


async def test_a_script_that_fails_leaves_its_exit_code(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.end(spec.id, code=3)
    record = (await watched(rig, spec.id)).record
    assert (record.exit_code, record.signal, record.succeeded) == (3, None, False)
    assert record.reason == "rank 0 exited with code 3"
    assert [rank.exit_code for rank in record.ranks] == [3]


async def test_a_script_killed_from_outside_leaves_the_signal(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.kill_script(spec.id)
    record = (await watched(rig, spec.id)).record
    assert (record.exit_code, record.signal) == (None, signal.SIGKILL)
    assert "SIGKILL" in record.reason
    assert not record.stop_requested


async def test_starting_again_starts_nothing_while_it_runs_nor_after_it_ended(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.launcher.start(spec)
    assert await rig.starts(spec.id) == 1
    await rig.end(spec.id)
    seen = await watched(rig, spec.id)
    await rig.launcher.start(spec)
    assert await rig.launcher.observe(spec.id) == seen
    assert await rig.starts(spec.id) == 1


async def test_a_lost_attempt_is_never_started_again(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    assert await rig.starts(spec.id) == 1
    await rig.lose(spec.id)
    seen = await watched(rig, spec.id)
    assert seen.state is AttemptState.LOST
    assert "the runner was killed" in seen.why
    await rig.launcher.start(spec)
    assert await rig.launcher.observe(spec.id) == seen
    assert await rig.starts(spec.id) == 1


async def test_the_next_attempt_waits_until_the_last_is_gone(rig):
    first, second = rig.spec(1), rig.spec(2)
    await rig.launcher.start(first)
    with pytest.raises(NotYetGone, match="attempt 1 runs"):
        await rig.launcher.start(second)
    await rig.end(first.id, code=1)
    await watched(rig, first.id)
    await rig.launcher.start(second)
    assert (await rig.launcher.observe(second.id)).state is AttemptState.RUNNING
    assert (await rig.launcher.observe(first.id)).record.exit_code == 1
    await rig.end(second.id)
    assert (await watched(rig, second.id)).record.succeeded


async def test_the_next_attempt_starts_after_a_lost_one(rig):
    first, second = rig.spec(1), rig.spec(2)
    await rig.launcher.start(first)
    await rig.starts(first.id)
    await rig.lose(first.id)
    await watched(rig, first.id)
    await rig.launcher.start(second)
    assert await rig.starts(second.id) == 1
    assert (await rig.launcher.observe(first.id)).state is AttemptState.LOST


async def test_an_attempt_never_starts_after_a_later_one(rig):
    second = rig.spec(2)
    await rig.launcher.start(second)
    with pytest.raises(Superseded, match="attempt 2 exists"):
        await rig.launcher.start(rig.spec(1))
    assert (await rig.launcher.observe(rig.spec(1).id)).state is AttemptState.ABSENT


async def test_attempts_of_other_jobs_run_side_by_side(rig):
    specs = [rig.spec(1, job=f"job-{number}") for number in range(3)]
    await asyncio.gather(*(rig.launcher.start(spec) for spec in specs))
    for code, spec in enumerate(specs):
        await rig.end(spec.id, code=code)
    ends = await asyncio.gather(*(watched(rig, spec.id) for spec in specs))
    assert [seen.record.exit_code for seen in ends] == [0, 1, 2]
    assert await rig.launcher.attempts() == tuple(spec.id for spec in specs)


async def test_a_stop_ends_the_script_by_sigterm_and_says_so(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.starts(spec.id)
    await rig.launcher.signal_stop(spec.id, 10.0, reason="preempted by job-9")
    record = (await watched(rig, spec.id)).record
    assert record.signal == signal.SIGTERM
    assert record.stop_requested
    assert not record.succeeded
    assert "stopped on request (preempted by job-9)" in record.reason


async def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.ignore_stop(spec.id)
    await rig.launcher.signal_stop(spec.id, 0.2)
    assert (await rig.launcher.observe(spec.id)).state is AttemptState.RUNNING
    await rig.grace_passes(spec.id)
    record = (await watched(rig, spec.id)).record
    assert record.signal == signal.SIGKILL
    assert record.stop_requested


async def test_a_stop_after_the_end_changes_nothing(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.end(spec.id)
    seen = await watched(rig, spec.id)
    await rig.launcher.signal_stop(spec.id, 0.0)
    assert await rig.launcher.observe(spec.id) == seen


async def test_many_may_watch_and_a_cancelled_watch_disturbs_nobody(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.starts(spec.id)
    watches = [asyncio.create_task(watched(rig, spec.id)) for _ in range(3)]
    await asyncio.sleep(0)
    watches[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await watches[0]
    await rig.end(spec.id)
    others = await asyncio.gather(*watches[1:])
    assert others == [await rig.launcher.observe(spec.id)] * 2


async def test_metrics_are_read_by_whole_lines_from_where_the_reader_was(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    assert await rig.launcher.metrics(spec.id) == ((), 0, ())
    await rig.write_metrics(spec.id, '{"time": 1.5, "step": 1, "metrics": {"auc": 0.5}}\n{"time"')
    first = await rig.launcher.metrics(spec.id)
    assert [(line.time, line.step, line.metrics) for line in first.lines] == [
        (1.5, 1, {"auc": 0.5})
    ]
    assert await rig.launcher.metrics(spec.id, first.next_offset) == ((), first.next_offset, ())
    await rig.write_metrics(spec.id, ': 2, "step": null, "metrics": {"auc": 1}}\n')
    second = await rig.launcher.metrics(spec.id, first.next_offset)
    assert [(line.time, line.step, line.metrics) for line in second.lines] == [
        (2.0, None, {"auc": 1.0})
    ]


async def test_a_bad_metric_line_is_refused_and_its_neighbours_are_kept(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    good = '{"time": 1, "step": 1, "metrics": {"loss": 2}}\n'
    bad = '{"time": 1, "step": 1, "metrics": {"loss": NaN}}\n'
    await rig.write_metrics(spec.id, good + bad + good)
    page = await rig.launcher.metrics(spec.id)
    assert len(page.lines) == 2
    assert page.refused == (
        f"metrics at byte {len(good)}: metrics.loss is nan: give a finite number",
    )


async def test_output_is_read_from_where_the_reader_was(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.write_log(spec.id, "epoch 1\n")
    await rig.write_log(spec.id, "epoch 2\n")
    await rig.end(spec.id)
    await watched(rig, spec.id)
    assert await rig.launcher.log(spec.id) == (b"epoch 1\nepoch 2\n", 16)
    assert await rig.launcher.log(spec.id, 8) == (b"epoch 2\n", 16)


async def test_the_result_is_collected_once_the_attempt_has_ended(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    with pytest.raises(NotYetGone):
        await rig.launcher.collect(spec.id)
    await rig.write_result(spec.id, '{"metrics": {"auc": 0.71}}')
    await rig.end(spec.id)
    await watched(rig, spec.id)
    collected = await rig.launcher.collect(spec.id)
    assert collected.result == {"metrics": {"auc": 0.71}}
    assert collected.result_refused is None
    assert collected.output_dir is None


async def test_a_result_that_is_not_valid_is_refused_with_the_field(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.write_result(spec.id, '{"metrics": {"auc": Infinity}}')
    await rig.end(spec.id)
    await watched(rig, spec.id)
    collected = await rig.launcher.collect(spec.id)
    assert collected.result is None
    assert "metrics.auc is inf" in collected.result_refused


async def test_reaping_frees_what_is_large_and_keeps_what_was_seen(rig):
    spec = rig.spec()
    await rig.launcher.start(spec)
    await rig.write_log(spec.id, "much\n")
    with pytest.raises(NotYetGone):
        await rig.launcher.reap(spec.id)
    await rig.end(spec.id)
    seen = await watched(rig, spec.id)
    for _ in range(2):
        await rig.launcher.reap(spec.id)
    assert await rig.launcher.observe(spec.id) == seen
    assert (await rig.launcher.log(spec.id)).data == b""
    await rig.launcher.start(spec)
    assert await rig.starts(spec.id) == 1
