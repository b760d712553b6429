"""The tables of the read model, for any SQL database."""

from penstock_gateway.adapters.sql_engine import Driver
from penstock_gateway.domain.view import INDEXED_MAX

FORMAT = 1
"""Of the tables. Other ones are dropped: what is in them can be made again from the log."""

ROWS = "penstock_rows"
EVENTS = "penstock_events"
PROJECTIONS = "penstock_projections"
CHECKPOINTS = "penstock_checkpoints"
FORMATS = "penstock_format"
TABLES = (ROWS, EVENTS, PROJECTIONS, CHECKPOINTS, FORMATS)
INDEX_COLUMNS = tuple(f"indexed_{number}" for number in range(1, INDEXED_MAX + 1))
"""Where the indexed columns of a noun are kept, in the order in which its view names them."""


def create_format(driver: Driver) -> str:
    """The statement that makes the table which says the format of the others."""
    return f"CREATE TABLE IF NOT EXISTS {FORMATS} (format {driver.integer} NOT NULL)"


def create(driver: Driver) -> list[str]:
    """The statements that make what is not there."""
    number, clustered = driver.integer, driver.clustered
    columns = "".join(f"{name} TEXT, " for name in INDEX_COLUMNS)
    statements = [
        create_format(driver),
        # `live` is 1 in the one generation that is shown.
        f"CREATE TABLE IF NOT EXISTS {PROJECTIONS} (generation {number} PRIMARY KEY, "
        f"live {number} NOT NULL, version TEXT NOT NULL, position {number} NOT NULL, "
        "time TEXT, mark TEXT NOT NULL)",
        f"CREATE TABLE IF NOT EXISTS {ROWS} (generation {number} NOT NULL, noun TEXT NOT NULL, "
        f"namespace TEXT NOT NULL, id TEXT NOT NULL, born {number} NOT NULL, "
        f"changed {number} NOT NULL, status TEXT NOT NULL, {columns}"
        f"document {driver.document} NOT NULL, PRIMARY KEY (generation, noun, id, namespace))",
        f"CREATE TABLE IF NOT EXISTS {EVENTS} (generation {number} NOT NULL, "
        f"sequence {number} NOT NULL, id_mark {number} NOT NULL, story_mark {number} NOT NULL, "
        f"PRIMARY KEY (generation, sequence)) {clustered}",
        f"CREATE TABLE IF NOT EXISTS {CHECKPOINTS} (name TEXT PRIMARY KEY, version TEXT NOT NULL, "
        f"position {number} NOT NULL, mark TEXT NOT NULL, document {driver.document} NOT NULL)",
        _index(ROWS, "born", "noun, born"),
        _index(ROWS, "namespace", "noun, namespace, born"),
        _index(ROWS, "status", "noun, status, born"),
        _index(EVENTS, "id", "id_mark, sequence"),
        _index(EVENTS, "story", "story_mark, sequence"),
    ]
    for name in INDEX_COLUMNS:
        statements.append(f"{_index(ROWS, name, f'noun, {name}, born')} WHERE {name} IS NOT NULL")
    return statements


def drop() -> list[str]:
    """The statements that remove everything."""
    return [f"DROP TABLE IF EXISTS {table}" for table in TABLES]


def _index(table: str, name: str, columns: str) -> str:
    return f"CREATE INDEX IF NOT EXISTS {table}_{name} ON {table} (generation, {columns})"
