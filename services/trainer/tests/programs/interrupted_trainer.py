"""Trainers that each start one attempt, killed by SIGKILL right before their n-th step.

One trainer for each n, until one gets through; prints the number of those that were killed.
"""

import os
import sys
from pathlib import Path

from interruption import interrupt_at

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.ports import AttemptSpec

root, source, *command = sys.argv[1:]
step = 0
status = None
while status != 0:
    step += 1
    trainer = os.fork()
    if trainer == 0:
        words = tuple(word.replace("STEP", str(step)) for word in command)
        files = (("data.txt", Path(source)),)
        spec = AttemptSpec("tests", f"job-{step}", 1, words, files=files)
        launcher = LocalLauncher(Path(root))
        interrupt_at(step)
        launcher._start(spec)
        os._exit(0)
    status = os.waitpid(trainer, 0)[1]
os.write(1, f"{step - 1}\n".encode())
