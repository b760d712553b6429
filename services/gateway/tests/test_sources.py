"""The book of sources: declarations are answered once, the last good one stands."""

from datetime import UTC, datetime

from penstock_chassis.message import Recorded
from penstock_gateway.domain.sources import SourceBook, decide_requested, evolve
from penstock_schemas import (
    Event,
    SecretDeleted,
    SecretSet,
    SourceConfigured,
    SourceRejected,
    SourceRequested,
)


class Log:
    """Folds what it is told."""

    def __init__(self) -> None:
        self.book = SourceBook()
        self.sequence = 0

    def append(self, event: Event, namespace: str = "vision") -> Recorded:
        self.sequence += 1
        recorded = Recorded(
            event, namespace, self.sequence, datetime(2026, 1, 1, tzinfo=UTC),
            f"id-{self.sequence}", "test", "story",
        )  # fmt: skip
        evolve(self.book, recorded)
        return recorded

    def ask(self, scheme: str = "github") -> Recorded:
        return self.append(SourceRequested(source="repo", scheme=scheme, secrets=("key",)))

    def answer(self, request: Recorded) -> list[str]:
        """Decide about a declaration and append the answer."""
        events = decide_requested(self.book, request)
        for event in events:
            self.append(event)
        return [event.type for event in events]


def test_a_declaration_is_answered_once() -> None:
    log = Log()
    good, bad = log.ask(), log.ask("airmail")
    assert log.answer(good) == ["source.configured"]
    assert log.answer(bad) == ["source.rejected"]
    assert log.answer(good) == log.answer(bad) == []
    assert log.book.waiting == {}


def test_what_stood_before_a_refusal_stands_on_and_a_good_one_replaces_it() -> None:
    log = Log()
    log.answer(log.ask("github"))
    log.answer(log.ask("airmail"))
    assert log.book.sources["vision", "repo"].scheme == "github"
    log.answer(log.ask("gitlab"))
    assert log.book.sources["vision", "repo"].scheme == "gitlab"
    assert ("audio", "repo") not in log.book.sources


def test_the_answer_repeats_what_was_asked_for() -> None:
    log = Log()
    asked = SourceRequested(
        source="repo", scheme="github", secrets=("a", "b"), tolerance_seconds=7, paused=True
    )
    (event,) = decide_requested(log.book, log.append(asked))
    assert isinstance(event, SourceConfigured)
    assert (event.secrets, event.tolerance_seconds, event.paused) == (("a", "b"), 7, True)
    assert (event.request, event.path) == ("id-1", "/v1/webhooks/vision/repo")


def test_a_refusal_of_an_unreadable_declaration_changes_nothing() -> None:
    log = Log()
    waiting = log.ask()
    log.append(SourceRejected(source="repo", request="another", reason="not valid"))
    assert log.answer(waiting) == ["source.configured"]


def test_the_book_knows_when_a_secret_last_changed() -> None:
    log = Log()
    said = {"secret": "key", "fingerprint": "0" * 16, "by": "anyone"}
    log.append(SecretSet(values=1, **said))
    log.append(SecretSet(values=2, **said))
    assert log.book.secrets == {("vision", "key"): 2}
    log.append(SecretDeleted(**said), "audio")
    assert log.book.secrets == {("vision", "key"): 2}
    log.append(SecretDeleted(**said))
    assert log.book.secrets == {}
