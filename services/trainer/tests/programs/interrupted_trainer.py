"""A trainer that starts one attempt, killed by SIGKILL right before its n-th step."""

import sys
from pathlib import Path

from interruption import interrupt_at

from penstock_trainer.adapters.local import LocalLauncher
from penstock_trainer.ports import AttemptSpec

step, root, job, source, *command = sys.argv[1:]
spec = AttemptSpec("tests", job, 1, tuple(command), files=(("data.txt", Path(source)),))
launcher = LocalLauncher(Path(root))
interrupt_at(int(step))
launcher._start(spec)
