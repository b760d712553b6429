"""An attempt's description is checked when it is made."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from penstock_trainer.errors import InvalidAttempt
from penstock_trainer.ports import AttemptId, AttemptSpec

GOOD = {"namespace": "vision", "job": "0192-job", "attempt": 1, "command": ("python", "train.py")}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"namespace": "Vision"}, "namespace 'Vision' is not a name"),
        ({"namespace": ".."}, "namespace '..' is not a name"),
        ({"job": "a/b"}, "job 'a/b' is not a name"),
        ({"job": "a" * 64}, "at most 63"),
        ({"job": "a\n"}, "is not a name"),
        ({"attempt": 0}, "attempts are numbered from 1"),
        ({"command": ()}, "command is empty"),
        ({"command": ("",)}, "command is empty"),
        ({"grace_seconds": -1}, "grace_seconds is -1"),
        ({"grace_seconds": math.nan}, "grace_seconds is nan"),
        ({"cpu_threads": 0}, "cpu_threads is 0"),
        ({"ranks": 0}, "ranks is 0"),
        ({"files": (("../up.py", Path("x")),)}, "files: '../up.py'"),
        ({"files": (("/etc/passwd", Path("x")),)}, "files: '/etc/passwd'"),
        ({"files": (("", Path("x")),)}, "files: ''"),
        ({"env": {"PENSTOCK_RANK": "1"}}, "env: PENSTOCK_RANK is the platform's own"),
        ({"env": {"A=B": "1"}}, "env: 'A=B' cannot be"),
        ({"env": {"A": "\0"}}, "env: 'A' cannot be"),
    ],
)
def test_a_bad_description_is_refused_with_the_field(change, complaint):
    with pytest.raises(InvalidAttempt) as refusal:
        AttemptSpec(**{**GOOD, **change})
    assert complaint in str(refusal.value)


def test_a_good_description_has_the_attempts_name():
    assert AttemptSpec(**GOOD).id == AttemptId("vision", "0192-job", 1)
    assert str(AttemptSpec(**GOOD).id) == "vision/0192-job/1"
