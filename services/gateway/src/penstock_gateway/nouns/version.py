"""Versions of what is made from the log, so that it is made anew once its rules are others.

A version is the digest of the sources that the rules stand in, the contracts included: a comment
that changes costs one rebuild, a rule that changes without one would cost the truth.
"""

import sys
from collections.abc import Iterable
from hashlib import blake2b
from importlib.abc import InspectLoader
from types import ModuleType

from penstock_chassis import message
from penstock_gateway.domain import (
    checkpoint,
    cron,
    descent,
    documents,
    endings,
    event_index,
    expression_cost,
    expression_reach,
    expressions,
    firing,
    judging,
    projected,
    read_model,
    templates,
    timing,
    trigger_book,
    trigger_checks,
    trigger_folding,
    view,
)
from penstock_gateway.domain.view import View
from penstock_schemas import event_types

DIGEST_BYTES = 12
_CONTRACTS = ("envelope", "event", "names", "nouns.parts", "references", "roles", "subjects")
_READING = (message, *(sys.modules[f"penstock_schemas.{name}"] for name in _CONTRACTS))
"""What makes an event of a message, or refuses to."""
_ROWS = (view, read_model, documents, event_index, projected)
_TRIGGERS = (
    *(trigger_book, timing, firing, descent, judging, endings, cron),
    *(trigger_folding, trigger_checks, templates, checkpoint, view),
    *(expressions, expression_cost, expression_reach),
)


def rows_version(views: Iterable[View]) -> str:
    """The version of the rows of these views."""
    rules = {rule.__module__ for one in views for rule in one.rules.values()}
    return _digest(
        [*_ROWS, *_READING, *_contracts(), *(sys.modules[name] for name in sorted(rules))]
    )


def triggers_version() -> str:
    """The version of the folded triggers."""
    return _digest([*_TRIGGERS, *_READING, *_contracts()])


def _contracts() -> list[ModuleType]:
    return [sys.modules[n] for n in sorted({e.__module__ for e in event_types().values()})]


def _digest(modules: Iterable[ModuleType]) -> str:
    digest = blake2b(digest_size=DIGEST_BYTES)
    for module in modules:
        # From the loader, not by `inspect`: that would keep the text in memory.
        assert isinstance(module.__loader__, InspectLoader)
        source = module.__loader__.get_source(module.__name__)
        assert source is not None, f"{module.__name__} is installed without its source"
        digest.update(f"{module.__name__}\n{source}\n".encode())
    return digest.hexdigest()
