"""A trainer of the chaos run: brings every job to its end, knowing only what is on disk."""

import asyncio
import os
import sys
from pathlib import Path

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.errors import NotYetGone, Superseded
from penstock_trainer.ports import AttemptId, AttemptSpec, AttemptState

root, jobs, journal, alone, *runner = sys.argv[1:]
launcher = LocalLauncher(Path(root), runner_command=runner or None)
script = str(Path(__file__).with_name("shift.py"))


async def bring_to_end(job):
    while True:
        known = [found for found in await launcher.attempts() if found.job == job]
        newest = known[-1] if known else AttemptId("chaos", job, 1)
        seen = await launcher.watch(newest)
        if seen.state is AttemptState.EXITED:
            return
        number = newest.attempt + (seen.state is AttemptState.LOST)
        command = ("python", script, journal, alone)
        try:
            await launcher.start(AttemptSpec("chaos", job, number, command))
        except (NotYetGone, Superseded):
            continue  # another trainer was faster: look again


async def main():
    await asyncio.gather(*(bring_to_end(f"job-{number}") for number in range(int(jobs))))
    os._exit(0)


asyncio.run(main())
