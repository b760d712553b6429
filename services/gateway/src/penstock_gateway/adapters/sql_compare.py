"""Two generations of rows compared in SQL, field for field."""

from typing import Any

from penstock_gateway.adapters.sql_engine import Cursor, Driver
from penstock_gateway.adapters.sql_schema import EVENTS, ROWS
from penstock_gateway.domain.projected import (
    DIFFERENCES_LISTED_MAX,
    Comparison,
    Difference,
    Standing,
    difference,
)
from penstock_gateway.domain.read_model import RowKey

_KEY = ("noun", "namespace", "id")


def compare(driver: Driver, cursor: Cursor, live: Standing, rebuilt: Standing) -> Comparison:
    """How the rows and the index of two generations differ; they stand still meanwhile."""

    def ask(statement: str, *values: Any) -> list[Any]:
        cursor.execute(driver.sql(statement), values)
        return cursor.fetchall()

    one, other = live.generation, rebuilt.generation
    keys: set[RowKey] = set()
    different = different_events = 0
    for these, those in ((one, other), (other, one)):
        # Rows that both have are seen from one side only.
        both = " OR CAST(a.document AS TEXT) <> CAST(b.document AS TEXT)" if these == one else ""
        rows = (
            f"FROM {ROWS} a LEFT JOIN {ROWS} b ON b.generation = ? AND "
            + " AND ".join(f"b.{name} = a.{name}" for name in _KEY)
            + f" WHERE a.generation = ? AND (b.id IS NULL{both})"
        )
        different += ask(f"SELECT count(*) {rows}", those, these)[0][0]
        listed = ask(
            f"SELECT a.noun, a.namespace, a.id {rows} ORDER BY 1, 2, 3 LIMIT ?",
            those,
            these,
            DIFFERENCES_LISTED_MAX,
        )
        keys |= {RowKey(*key) for key in listed}
        different_events += ask(
            f"SELECT count(*) FROM {EVENTS} a LEFT JOIN {EVENTS} b "  # noqa: S608
            "ON b.generation = ? AND b.sequence = a.sequence AND b.id_mark = a.id_mark "
            "AND b.story_mark = a.story_mark WHERE a.generation = ? AND b.sequence IS NULL",
            those,
            these,
        )[0][0]

    def document(generation: int, key: RowKey) -> bytes | None:
        found = ask(
            f"SELECT CAST(document AS TEXT) FROM {ROWS} WHERE generation = ? "  # noqa: S608
            "AND noun = ? AND namespace = ? AND id = ?",
            generation,
            *key,
        )
        return found[0][0].encode() if found else None

    listed_differences: list[Difference] = [
        difference(key, document(one, key), document(other, key))
        for key in sorted(keys)[:DIFFERENCES_LISTED_MAX]
    ]
    return Comparison(
        position=rebuilt.position,
        rows=ask(f"SELECT count(*) FROM {ROWS} WHERE generation = ?", other)[0][0],  # noqa: S608
        events=ask(f"SELECT count(*) FROM {EVENTS} WHERE generation = ?", other)[0][0],  # noqa: S608
        different_rows=different,
        different_events=different_events,
        differences=listed_differences,
    )
