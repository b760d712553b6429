"""The whole trainer with real processes, on the simulated bus in real time."""

import asyncio
from pathlib import Path

from penstock_chassis.message import Draft, read_recorded, to_message
from penstock_chassis.service import ServiceRunner
from penstock_chassis.testing import SimWorld
from penstock_schemas import (
    Event,
    JobPlaced,
    JobRequested,
    JobSucceeded,
    Program,
    Resources,
)
from penstock_trainer.app import build
from penstock_trainer.settings import TrainerSettings

WAIT_SECONDS = 30.0
SCRIPT = """
import json, os, pathlib
data = pathlib.Path(json.loads(os.environ["PENSTOCK_INPUTS"])["training"]).read_text()
with open(os.environ["PENSTOCK_METRICS"], "a") as file:
    file.write(json.dumps({"time": 1.0, "step": 1, "metrics": {"auc": 0.5}}) + "\\n")
pathlib.Path(os.environ["PENSTOCK_OUTPUT_DIR"], "out.txt").write_text(data.upper())
pathlib.Path(os.environ["PENSTOCK_RESULT"]).write_text(json.dumps({"metrics": {"auc": 0.7}}))
"""


async def test_a_real_script_reads_its_input_and_its_output_is_stored(tmp_path: Path) -> None:
    world = SimWorld()
    ports = world.ports()
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    folder = await ports.objects.put_folder("default", source)
    training = await ports.objects.put("default", b"rows")
    runner = ServiceRunner(build(TrainerSettings(work_dir=tmp_path / "work"), ports), ports)
    running = asyncio.create_task(runner.run())

    def say(event: Event, id: str) -> None:
        draft = Draft(event, "default")
        now = ports.clock.now()
        world.append(to_message(draft, source="penstock/test", cause=None, id=id, now=now))

    program = Program(command=("{python}", "train.py"), source=folder)
    say(JobRequested(job="a", program=program, inputs={"training": training}), "one")
    place = JobPlaced(job="a", attempt=1, node="n", resources=Resources(), reason="free")
    say(place, "two")
    end = None
    async with asyncio.timeout(WAIT_SECONDS):
        while end is None:
            seen = [read_recorded(stored).event for stored in world.stored()]
            end = next((e for e in seen if e.type in ("job.succeeded", "job.failed")), None)
            if end is None:
                await world.events.grown.wait()
    await runner.drain()
    await running
    assert isinstance(end, JobSucceeded), end
    assert end.metrics == {"auc": 0.7}
    assert end.output is not None
    await ports.objects.fetch(end.output, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "out.txt").read_text() == "ROWS"
    metrics = world.telemetry.all_after(("telemetry.default.job.metric.a",))
    assert len(metrics) == 1
