"""The catalogue: what every message looks like, for machines and for people.

Generated from the contracts, deterministically, and committed under `schemas/catalog/`:

- `<type>/v<version>.json`: one closed JSON Schema per event version,
- `kinds/<kind>.json`: one closed JSON Schema per kind of document that `penstock apply` takes,
- `asyncapi.json`: channels, messages and operations (AsyncAPI 3.0.0),
- `README.md`: the same for people.

A schema once released stays: the file of an older version is an input of the generator, not an
output, and a change that would refuse what was accepted before is not written.

    python -m penstock_schemas.catalog [--check] [DIR]
"""

from collections.abc import Mapping

from penstock_schemas.acceptance import Schema
from penstock_schemas.catalog.asyncapi import asyncapi
from penstock_schemas.catalog.json_schema import event_schema, schema_path, written
from penstock_schemas.catalog.kinds import kind_path, kind_schema
from penstock_schemas.catalog.page import page
from penstock_schemas.errors import SchemaError
from penstock_schemas.event import event_types
from penstock_schemas.kinds import kinds


class MissingVersion(SchemaError):
    """A version of a contract that a newer one followed has no schema in the catalogue."""


def catalogue(released: Mapping[str, Schema]) -> dict[str, str]:
    """Every file of the catalogue, its path to its text.

    `released` holds the schemas of the catalogue as it is, by path; only those of older versions
    and of contracts that no longer exist are used. Raises `MissingVersion`.
    """
    newest = {schema_path(type, cls.version): cls for type, cls in event_types().items()}
    schemas = {path: event_schema(cls) for path, cls in newest.items()}
    older = {path: schema for path, schema in released.items() if path not in schemas}
    for type, cls in event_types().items():
        for version in range(1, cls.version):
            path = schema_path(type, version)
            if path not in older:
                raise MissingVersion(f"{path} is missing: restore the released schema from git")
    everything = dict(sorted((schemas | older).items()))
    return {
        **{path: written(schema) for path, schema in everything.items()},
        **{kind_path(kind): written(kind_schema(cls)) for kind, cls in sorted(kinds().items())},
        "asyncapi.json": written(asyncapi(everything)),
        "README.md": page(everything),
    }
