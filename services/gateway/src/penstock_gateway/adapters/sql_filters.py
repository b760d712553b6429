"""What a database can tell of a query by itself, as conditions of a statement."""

from collections.abc import Mapping
from typing import Any

from penstock_gateway.adapters.sql_engine import Driver
from penstock_gateway.domain.projected import Query, needles
from penstock_gateway.domain.read_model import ALL


def conditions_of(
    query: Query, indexed: Mapping[str, str], driver: Driver
) -> tuple[list[str], list[Any], bool]:
    """The conditions, their values, and whether they are nearly all of the query.

    The rows that they find are compared again; those that they leave out do not match. `indexed`
    says for the columns of the noun that have an index where they are indexed.
    """
    places = {"status": "status", **indexed}
    conditions: list[str] = []
    values: list[Any] = []
    told = by_index = 0
    for column, text in query.wanted.items():
        held = needles(column, text)
        if column in places and text not in ("", "null"):
            conditions.append(f" AND {places[column]} = ?")
            values.append(indexable(text))
            by_index += 1
        elif held is not None:
            either = " OR ".join([driver.contains] * len(held))
            conditions.append(f" AND ({either})")
            values += map(driver.to_document, held)
        else:
            continue
        told += 1
    if query.namespace != ALL:
        # The `||` keeps SQLite from this index where a better one is there.
        column = "namespace || ''" if by_index else "namespace"
        conditions.append(f" AND {column} = ?")
        values.append(query.namespace)
    return conditions, values, told == len(query.wanted)


def indexable(value: Any) -> str | None:
    """A value as an index keeps it; PostgreSQL has no NUL in texts."""
    return value.replace("\0", "�") if isinstance(value, str) else None
