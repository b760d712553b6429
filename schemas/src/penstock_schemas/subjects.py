"""Subjects: `penstock.<namespace>.<noun>.<verb>.<id>`, and the filters over them."""

import re
from typing import NamedTuple

from penstock_schemas.errors import InvalidSubject
from penstock_schemas.names import NAME_LENGTH_MAX, is_name

ROOT = "penstock"

_TOKEN = f"([a-z0-9](?:[-a-z0-9]{{0,{NAME_LENGTH_MAX - 2}}}[a-z0-9])?)"
_VALID = re.compile(rf"{ROOT}\.{_TOKEN}\.{_TOKEN}\.{_TOKEN}\.{_TOKEN}")
"""Every valid subject in one match: each event that is folded or handled passes here."""


class Aggregate(NamedTuple):
    """The unit of consistency: all events of one thing, in one order."""

    namespace: str
    noun: str
    id: str

    @property
    def filter(self) -> str:
        """The subject filter that matches every event of the aggregate and nothing else."""
        return f"{ROOT}.{self.namespace}.{self.noun}.*.{self.id}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.noun}/{self.id}"


class Subject(NamedTuple):
    """A subject taken apart. `type` is `<noun>.<verb>`."""

    namespace: str
    noun: str
    verb: str
    id: str

    @property
    def type(self) -> str:
        """The event type that the subject names."""
        return f"{self.noun}.{self.verb}"

    @property
    def aggregate(self) -> Aggregate:
        """The aggregate that an event on this subject belongs to."""
        return Aggregate(self.namespace, self.noun, self.id)

    def __str__(self) -> str:
        return f"{ROOT}.{self.namespace}.{self.noun}.{self.verb}.{self.id}"


def parse_subject(text: str) -> Subject:
    """Take a subject apart; raises `InvalidSubject` naming the token at fault."""
    match = _VALID.fullmatch(text)
    if match is not None:
        return Subject(*match.groups())
    tokens = text.split(".")
    if len(tokens) != 5 or tokens[0] != ROOT:
        raise InvalidSubject(
            f"subject {text[:200]!r} is not {ROOT}.<namespace>.<noun>.<verb>.<id>: "
            f"expected 5 tokens separated by dots, the first being {ROOT!r}; got {len(tokens)}"
        )
    for role, token in zip(("namespace", "noun", "verb", "id"), tokens[1:], strict=True):
        if not is_name(token):
            raise InvalidSubject(
                f"the {role} {token[:80]!r} in the subject is not a name: use lower-case letters, "
                "digits and hyphens, at most 63, starting and ending with a letter or digit"
            )
    return Subject(*tokens[1:])


def filter_of(namespace: str = "*", type: str = "*.*", id: str = ">") -> str:
    """A subject filter, e.g. `filter_of(type="model.promoted")`; wildcards as in NATS.

    `type` is `<noun>.<verb>`, `<noun>.*` or `*.*`; a filter ending in `>` matches every id.
    """
    return f"{ROOT}.{namespace}.{type}.{id}"
