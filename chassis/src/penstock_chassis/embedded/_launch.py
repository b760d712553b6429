"""Becomes the program given as arguments, bound to die with the process that asked for it.

Run as `python -I -S _launch.py <parent pid> <signal> <program> <arguments…>`; imports nothing of
Penstock, since it starts before every embedded server (about 15 ms) and is replaced by `execv`.

Why a program and not `preexec_fn`: that runs Python between fork and exec, which can deadlock
in a process with threads and warns from Python 3.12 on. Here the fork is the plain one.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
EXIT_ORPHANED = 126


def main() -> None:
    """Ask the kernel for the death signal, check that the parent still lives, then exec."""
    parent_pid, death_signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if sys.platform == "linux":
        # The setting survives execv of an ordinary (not set-user-id) program.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    # The parent may have died between its fork and the line above; then no signal will come.
    if os.getppid() != parent_pid:
        sys.exit(EXIT_ORPHANED)
    os.execv(program, sys.argv[3:])  # noqa: S606 - no shell is wanted


main()
