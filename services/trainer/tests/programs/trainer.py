"""A trainer that starts one attempt, says so, and then hangs until it is killed."""

import asyncio
import os
import sys
from pathlib import Path

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.ports import AttemptSpec


async def main():
    root, script, port = sys.argv[1:]
    launcher = LocalLauncher(Path(root))
    spec = AttemptSpec("tests", "job-1", 1, ("python", script), params={"stage": int(port)})
    await launcher.start(spec)
    os.write(1, b"started\n")
    await asyncio.Event().wait()


asyncio.run(main())
