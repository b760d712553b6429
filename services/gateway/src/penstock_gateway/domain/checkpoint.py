"""The folded triggers as a document, and back: a cache that spares a start the whole log."""

from collections.abc import Mapping

import orjson

from penstock_gateway.domain.trigger_book import Definition, Trigger, TriggerBook
from penstock_schemas import Aggregate, TriggerRequested

SEPARATOR = "/"
"""Stands in no name."""
Heads = Mapping[Aggregate, int]


def dump_checkpoint(book: TriggerBook, heads: Heads) -> bytes:
    """The book and the last sequence of every aggregate."""
    return orjson.dumps(
        {
            "heads": {f"{a.namespace}/{a.noun}/{a.id}": head for a, head in heads.items()},
            "triggers": [[*key, _document(one)] for key, one in book.triggers.items()],
            "waiting": [[*key, list(names)] for key, names in book.waiting.items()],
            "descents": [
                [id, [[*key, count] for key, count in descent.items()]]
                for id, descent in book.descents.items()
            ],
        }
    )


def load_checkpoint(text: bytes) -> tuple[TriggerBook, dict[Aggregate, int]]:
    """What `dump_checkpoint` wrote, equal field for field, the order of maps included."""
    document = orjson.loads(text)
    heads = {Aggregate(*name.split(SEPARATOR, 2)): n for name, n in document["heads"].items()}
    book = TriggerBook(
        {(namespace, name): _trigger(one) for namespace, name, one in document["triggers"]},
        {(namespace, type): dict.fromkeys(names) for namespace, type, names in document["waiting"]},
        {id: {(ns, name): n for ns, name, n in descent} for id, descent in document["descents"]},
    )
    return book, heads


def _document(trigger: Trigger) -> dict[str, object]:
    return {
        "definitions": [
            [d.declared.model_dump(mode="json"), d.request, d.sequence] for d in trigger.definitions
        ],
        "fired": trigger.fired,
        "causes": sorted(trigger.causes),
        "refused_requests": sorted(trigger.refused_requests),
    }


def _trigger(document: Mapping[str, object]) -> Trigger:
    definitions, causes = document["definitions"], document["causes"]
    refused, fired = document["refused_requests"], document["fired"]
    assert isinstance(definitions, list)
    assert isinstance(causes, list)
    assert isinstance(refused, list)
    assert isinstance(fired, int)
    return Trigger(
        [Definition(TriggerRequested.model_validate(d), id, at) for d, id, at in definitions],
        fired,
        set(causes),
        set(refused),
    )
