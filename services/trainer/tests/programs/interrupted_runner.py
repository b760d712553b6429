"""The runner, killed by SIGKILL right before the n-th step that it takes in the world.

Steps are counted in the process that becomes the runner, from its claim to its exit record.
"""

import sys

from interruption import interrupt_at

from penstock_trainer.runner import __main__ as runner

last_step = int(sys.argv.pop(1))
run_as_child = runner._run_as_child


def run_interrupted(*arguments):
    interrupt_at(last_step)
    return run_as_child(*arguments)


runner._run_as_child = run_interrupted
runner.main()
