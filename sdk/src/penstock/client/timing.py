"""Bounds of waiting: how long to pause before the next try, and how long a read may take."""

import random
import time

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 5.0
TRIES_MAX = 9
"""Of one request; with the pauses below 8 to 16 s in all: a gateway that was killed is back in 2
to 5 s on a busy machine."""
PAUSE_SECONDS_FIRST = 0.1
PAUSE_SECONDS_MAX = 5.0
HEARTBEAT_SECONDS = 15.0
"""The gateway shows this often that a quiet stream lives."""
SILENCE_SECONDS_MAX = 3 * HEARTBEAT_SECONDS
"""A stream that has been silent for this long is taken for dead and opened again."""
REOPEN_SLACK_SECONDS = 1.0


def pause_seconds(tries: int) -> float:
    """The pause after `tries` failures (at least one): exponential, with jitter of a half."""
    longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2.0 ** min(tries - 1, 16))
    return float(longest * random.uniform(0.5, 1.0))


class Deadline:
    """A moment on the monotonic clock, or never."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left_seconds(self) -> float | None:
        """Seconds left, 0 where it has passed, None where there is no deadline."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left_seconds() == 0.0

    def read_seconds(self) -> float:
        """How long a read of a stream may take now; above 0."""
        left = self.left_seconds()
        return SILENCE_SECONDS_MAX if left is None else max(0.001, min(left, SILENCE_SECONDS_MAX))
