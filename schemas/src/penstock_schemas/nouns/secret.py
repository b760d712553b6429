"""Secrets: that one was set or removed, by whom; never what it is."""

from typing import Annotated

from pydantic import Field

from penstock_schemas.event import Event
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Positive, ShortText

Fingerprint = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{16}$",
        description="Tells values apart; keyed, so that nobody can test guesses against it",
    ),
]
Who = Annotated[ShortText, Field(description="Who did it")]


class SecretSet(Event):
    """A secret of the namespace has a new value, sealed in the store of secrets."""

    type = "secret.set"
    key = "secret"
    owner = "gateway"
    example = {"secret": "airline", "fingerprint": "9f86d081884c7d65", "values": 2, "by": "ada"}

    secret: Name
    fingerprint: Fingerprint
    values: Annotated[Positive, Field(description="How many values open, the new one included")]
    by: Who


class SecretDeleted(Event):
    """A secret was removed with all its values."""

    type = "secret.deleted"
    key = "secret"
    owner = "gateway"
    example = {"secret": "airline", "fingerprint": "9f86d081884c7d65", "by": "ada"}

    secret: Name
    fingerprint: Fingerprint
    by: Who
