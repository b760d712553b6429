"""Fields that no contract has. Reading is tolerant of them; what a person writes is not, because
a mistyped field that is ignored is a request that means something else."""

from collections.abc import Iterator
from typing import Any

from penstock_schemas.event import Value

DEPTH_MAX = 64
"""No contract goes deeper: below it is free JSON."""

FieldPath = tuple[str | int, ...]


def unknown_fields(model: Value, data: Any) -> Iterator[tuple[FieldPath, tuple[str, ...]]]:
    """Where `data`, of which `model` was read, says what the model does not know: the path of
    each such field, and the names of the fields that there are in its place."""
    yield from _unknown(data, model.model_dump(mode="json"), ())


def _unknown(
    given: Any, known: Any, path: FieldPath
) -> Iterator[tuple[FieldPath, tuple[str, ...]]]:
    if len(path) >= DEPTH_MAX:
        return
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name in known:
                yield from _unknown(value, known[name], (*path, name))
            else:
                yield (*path, name), tuple(known)
    elif isinstance(given, list) and isinstance(known, list):
        for place, (value, read) in enumerate(zip(given, known, strict=False)):
            yield from _unknown(value, read, (*path, place))
