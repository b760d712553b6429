"""A script of the chaos run: says in a journal that it starts and ends, and whether it is alone."""

import fcntl
import os
import sys
import time

journal, alone = sys.argv[1:]
who = f"{os.environ['PENSTOCK_JOB']} {os.environ['PENSTOCK_ATTEMPT']}"


def say(what):
    os.write(descriptor, f"{what} {who}\n".encode())  # one write of an appended line is atomic


descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
say("start")
lock = os.open(f"{alone}-{os.environ['PENSTOCK_JOB']}", os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    say("overlap")
time.sleep(0.05)
say("end")
