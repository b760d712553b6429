"""A training script that does what the test on the other end of a socket says.

Its end, however it comes, closes the socket: the test sees it as an event.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROLE = sys.argv[1] if len(sys.argv) > 1 else "script"


def spawn(role, wiped=False):
    # A session of its own, as torchrun's workers have, and nobody waits for it.
    environment = {} if wiped else dict(os.environ)
    command = [sys.executable, __file__, role, *sys.argv[2:]]
    subprocess.Popen(command, start_new_session=True, env=environment)


def obey(order):
    match order["do"]:
        case "exit":
            os._exit(order["code"])
        case "print":
            os.write(1, order["text"].encode())
        case "metrics":
            with Path(os.environ["PENSTOCK_METRICS"]).open("a") as file:
                file.write(order["text"])
        case "result":
            Path(os.environ["PENSTOCK_RESULT"]).write_text(order["text"])
        case "output":
            Path(os.environ["PENSTOCK_OUTPUT_DIR"], order["name"]).write_text(order["text"])
        case "checkpoint":
            Path(os.environ["PENSTOCK_CHECKPOINT_DIR"], order["name"]).write_text(order["text"])
        case "ignore-sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "end-well-at-sigterm":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        case "spawn":
            spawn(order["role"], order.get("wiped", False))
        case "environment":
            return dict(os.environ)
        case "read":
            return Path(order["name"]).read_text()
    return None


def main():
    if "PENSTOCK_PARAMS" in os.environ:
        port = json.loads(os.environ["PENSTOCK_PARAMS"])["stage"]
        who = [os.environ["PENSTOCK_JOB"], int(os.environ["PENSTOCK_ATTEMPT"])]
        rank = int(os.environ["PENSTOCK_RANK"])
        if ROLE == "script":
            sys.argv[1:] = ["script", str(port), json.dumps(who), str(rank)]
    else:
        port, who, rank = int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rw")
        hello = {"job": who[0], "attempt": who[1], "rank": rank, "role": ROLE, "pid": os.getpid()}
        stream.write(json.dumps(hello) + "\n")
        stream.flush()
        for line in stream:
            answer = obey(json.loads(line))
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


main()
