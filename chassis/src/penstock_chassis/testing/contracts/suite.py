"""What the suites share: a namespace for each test, messages, and virtual time."""

import functools
import inspect
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from penstock_chassis.ports import Guard, Message
from penstock_chassis.testing.loop import run

C = TypeVar("C")


class Suite:
    """A base with the fixture `ns`: a namespace that no other test uses."""

    @pytest.fixture
    def ns(self) -> str:
        """A fresh namespace."""
        return f"t{uuid.uuid4().hex[:16]}"


def event(ns: str, aggregate: str, verb: str = "requested", **changes: Any) -> Message:
    """A message of the aggregate `thing/<aggregate>`; its id names it and its verb."""
    values: dict[str, Any] = {
        "subject": f"penstock.{ns}.thing.{verb}.{aggregate}",
        "payload": f'{{"thing": "{aggregate}"}}'.encode(),
        "headers": {"ce-source": "contract"},
        "id": f"{ns}:{aggregate}:{verb}",
    }
    return Message(**(values | changes))


def events(ns: str, count: int, verb: str = "requested") -> list[Message]:
    """Messages of `count` aggregates."""
    return [event(ns, f"a{number}", verb) for number in range(count)]


def guard(ns: str, aggregate: str, sequence: int) -> Guard:
    """The guard of an aggregate."""
    return Guard(f"penstock.{ns}.thing.*.{aggregate}", sequence)


def everything(ns: str) -> str:
    """The filter of a namespace."""
    return f"penstock.{ns}.>"


def aggregates(subjects: Sequence[str]) -> list[str]:
    """The last token of each subject."""
    return [subject.rsplit(".", 1)[1] for subject in subjects]


def in_virtual_time(suite: type[C]) -> type[C]:
    """Make the async tests of a suite plain ones that run in virtual time, seeded by their
    ports where those are simulated."""
    for name, method in inspect.getmembers(suite, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            setattr(suite, name, _in_virtual_time(method))
    return suite


def _in_virtual_time(method: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(method)
    def test(*args: Any, **kwargs: Any) -> None:
        world = getattr(kwargs.get("ports"), "world", None)
        run(method(*args, **kwargs), seed=world.seed if world is not None else 0)

    return test
