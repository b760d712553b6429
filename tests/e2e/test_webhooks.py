"""Webhooks into the whole platform, while it is killed: one event and one job for each delivery."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from checker import violations
from storm import Storm, storm

pytestmark = [pytest.mark.e2e]
QUICK, MANY = 300, 10_000
QUICK_VICTIMS = ("nats-server", "platform")
MANY_KILLS = 20


def holds(raging: Storm) -> None:
    """Rage, settle, and check that each delivery has one event and one job, which ran once."""
    names = {f"msg-{number}" for number in range(raging.count)}
    try:
        raging.set_up()
        asyncio.run(raging.rage())
        assert len(raging.run.killed) == len(raging.victims)
        assert raging.answered.keys() == names
        assert {len(ids) for ids in raging.ids.values()} == {1}
        jobs = raging.settle("job.requested")
        received = raging.events("webhook.received")
        assert sorted(event["data"]["delivery"] for event in received) == sorted(names)
        assert sorted(job["data"]["params"]["delivery"] for job in jobs) == sorted(names)
        raging.settle("job.succeeded")
        assert violations(raging.run.events()) == [], raging.run.killed
        assert raging.run.dead_letters() == []
    finally:
        raging.run.stop()


@pytest.mark.timeout(240)
def test_each_of_300_deliveries_makes_one_job_through_kills(tmp_path: Path) -> None:
    holds(storm(tmp_path, 1, QUICK, QUICK_VICTIMS))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_each_of_10_000_deliveries_makes_one_job_through_many_kills(tmp_path: Path) -> None:
    draw = random.Random(7)
    victims = [draw.choice(("platform", "nats-server", "weed")) for _ in range(MANY_KILLS)]
    holds(storm(tmp_path, 7, MANY, victims))
