"""The book of triggers as a document, and back: a cache that spares a start the whole log."""

from functools import cache

from pydantic import TypeAdapter

from penstock_gateway.domain.trigger_book import TriggerBook


def dump_checkpoint(book: TriggerBook) -> bytes:
    """The book; the order of its maps is kept."""
    return _document().dump_json(book)


def load_checkpoint(text: bytes) -> TriggerBook:
    """What `dump_checkpoint` wrote, equal field for field, the order of maps included."""
    return _document().validate_json(text)


@cache
def _document() -> TypeAdapter[TriggerBook]:
    return TypeAdapter(TriggerBook)
