"""Small parts of the read model: documents, marks, versions, damaged files."""

import ast
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_gateway.adapters.sqlite_rows import sqlite_rows
from penstock_gateway.domain.documents import DEPTH_MAX, document_of, row_of
from penstock_gateway.domain.event_index import mark_of, message_mark
from penstock_gateway.domain.projected import Batch, Query
from penstock_gateway.domain.read_model import RowKey
from penstock_gateway.domain.view import INDEXED_MAX, View
from penstock_gateway.nouns import PROJECTION, TRIGGERS_VERSION, VIEWS, version
from penstock_gateway.nouns.version import rows_version
from penstock_gateway.testing.story import START, random_story


def test_a_row_is_its_document_and_back() -> None:
    row = {"b": 1, "a": [None, True, 2.5, {"x": "ü\0"}], "z": {}}
    assert row_of(document_of(row)) == row
    assert list(row_of(document_of(row))) == ["b", "a", "z"]


@pytest.mark.parametrize(
    ("value", "written"),
    [(2**70, 2.0**70), ("\ud800", "?"), (10**400, None), ({"k": [2**64]}, {"k": [2.0**64]})],
)
def test_what_few_can_read_is_tamed(value: Any, written: Any) -> None:
    assert row_of(document_of({"data": value, "kept": 1})) == {"data": written, "kept": 1}


def test_values_that_are_too_deep_stop_nothing() -> None:
    deep: Any = "bottom"
    for _ in range(10 * DEPTH_MAX):
        deep = [deep]
    assert b"bottom" not in document_of({"data": deep})


def test_marks_tell_messages_apart() -> None:
    story = random_story(1, 500)
    assert len({message_mark(stored) for stored in story}) == len(story)
    assert message_mark(story[0]) == message_mark(random_story(1, 500)[0])
    assert message_mark(story[0]) != message_mark(random_story(2, 500)[0])
    assert -(2**63) <= mark_of("anything") < 2**63


def test_the_version_is_another_for_other_rules() -> None:
    assert PROJECTION.version == rows_version(VIEWS.values())
    fewer = [view for noun, view in VIEWS.items() if noun != "job"]
    assert rows_version(fewer) != PROJECTION.version
    assert PROJECTION.version != TRIGGERS_VERSION


def test_a_version_covers_every_rule_that_the_rules_stand_on() -> None:
    """Whoever moves a rule into a new module names it there: else what was kept would go stale."""
    for rules in (version._TRIGGERS, version._ROWS):
        covered = {module.__name__ for module in (*rules, *version._READING)}
        left, seen = list(covered), set()
        while left:
            name = left.pop()
            if name in seen:
                continue
            seen.add(name)
            file = sys.modules[name].__file__
            assert file is not None
            for node in ast.walk(ast.parse(Path(file).read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module in sys.modules:
                    own = node.module.startswith("penstock_gateway.domain")
                    left += [node.module] * own
        assert seen == covered


def test_a_view_indexes_few_columns_and_only_its_own() -> None:
    with pytest.raises(ValueError, match="not 'nothing'"):
        View("job", {"queue": "x"}, {}, indexed=("nothing",))
    columns = {f"c{n}": "x" for n in range(INDEXED_MAX + 1)}
    with pytest.raises(ValueError, match=f"at most {INDEXED_MAX}"):
        View("job", columns, {}, indexed=tuple(columns))


async def test_a_damaged_file_is_thrown_away_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"this is no database, " * 400)
    store = sqlite_rows(path, {})
    await store.open()
    assert await store.live() is None
    await store.close()


async def test_damage_found_while_reading_is_thrown_away_at_the_next_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.sqlite"
    store = sqlite_rows(path, {})
    await store.open()
    standing = await store.reset("v1", None)
    rows: dict[RowKey, dict[str, Any]] = {}
    for number in range(2000):
        row = {"status": "x", "created_sequence": number, "sequence": number, "pad": "p" * 200}
        rows[RowKey("job", "vision", f"job-{number}")] = row
    await store.commit(standing, Batch(2000, START, "m", rows, []))
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xff" * (len(content) - 4096 - 8192)
    path.write_bytes(content)
    store = sqlite_rows(path, {})

    async def read() -> None:
        await store.open()
        await store.page(Query("job", "-", limit=5000))

    with pytest.raises(sqlite3.DatabaseError):
        await read()
    await store.close()
    again = sqlite_rows(path, {})
    await again.open()
    assert await again.live() is None
    await again.close()
    assert not path.with_name(f"{path.name}.damaged").exists()
