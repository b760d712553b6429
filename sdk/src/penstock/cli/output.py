"""Where words go: data to standard output, talk to standard error, `--json` exactly as the API.

On a terminal there are colours (unless NO_COLOR is set); into a pipe goes plain, aligned text
without colours, never truncated. rich is loaded on a terminal only.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from penstock.cli.wording import STYLES, clean, clock, kind_of, short_id, what

if TYPE_CHECKING:
    from rich.text import Text

    from penstock.client import RecordedEvent

GAP = "  "
SEQUENCE_WIDTH, NAMESPACE_WIDTH, TYPE_WIDTH, ID_WIDTH = 6, 9, 21, 18


class Cell(NamedTuple):
    """A text, with the status that decides its colour, and whether it is a number."""

    text: str
    status: str = ""
    number: bool = False


def say(text: str) -> None:
    """Talk, as opposed to data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def emit_json(data: Any) -> None:
    """One JSON document, on one line."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """A line of data."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def now() -> datetime:
    """The present, with zone."""
    return datetime.now(UTC)


def table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """A table: in colours and fitted to the terminal, or plain and whole."""
    if sys.stdout.isatty():
        _rich_table(headers, rows)
    else:
        write(plain_table(headers, rows))


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Aligned columns with two spaces between, numbers to the right."""
    grid = [[Cell(header, number=_numbers(rows, i)) for i, header in enumerate(headers)], *rows]
    widths = [max(len(row[i].text) for row in grid) for i in range(len(headers))]
    return "\n".join(
        GAP.join(
            cell.text.rjust(width) if cell.number else cell.text.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in grid
    )


def fields(pairs: Mapping[str, Cell]) -> None:
    """Names and values, one a line, as `show` prints them."""
    width = max(map(len, pairs), default=0)
    terminal = sys.stdout.isatty()
    for name, cell in pairs.items():
        if terminal:
            from rich.text import Text  # noqa: PLC0415

            _print(Text.assemble((name.ljust(width) + GAP, "dim"), _styled(cell)))
        else:
            write(f"{name.ljust(width)}{GAP}{cell.text}")


def event_line(event: "RecordedEvent") -> list[Cell]:
    """The columns of an event: sequence, time, namespace, type, id, what."""
    status = "unreadable" if event.problem is not None else event.verb
    return [
        Cell(str(event.sequence).rjust(SEQUENCE_WIDTH)),
        Cell(clock(event.time, now())),
        Cell(clean(event.namespace).ljust(NAMESPACE_WIDTH)),
        Cell(clean(event.type).ljust(TYPE_WIDTH), status),
        Cell(short_id(event.subject_id).ljust(ID_WIDTH)),
        Cell(what(event)),
    ]


def write_event(event: "RecordedEvent", as_json: bool) -> None:
    """One line an event, to standard output: JSON, or columns."""
    if as_json:
        emit_json(event.raw)
    elif sys.stdout.isatty():
        _print(_event_text(event), one_line=True)
    else:
        write(GAP.join(cell.text for cell in event_line(event)).rstrip())


def say_event(event: "RecordedEvent") -> None:
    """One line an event, as talk."""
    if sys.stderr.isatty():
        _print(_event_text(event), stderr=True, one_line=True)
    else:
        say(GAP.join(cell.text for cell in event_line(event)).rstrip())


def _event_text(event: "RecordedEvent") -> "Text":
    from rich.text import Text  # noqa: PLC0415

    sequence, time, namespace, type, id, said = event_line(event)
    return Text.assemble(
        *((cell.text + GAP, "dim") for cell in (sequence, time, namespace)),
        (type.text + GAP, STYLES[kind_of(type.status)]),
        (id.text + GAP, "bold"),
        said.text,
    )


def _numbers(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return any(row[column].number for row in rows)


def _styled(cell: Cell) -> tuple[str, str]:
    return cell.text, STYLES[kind_of(cell.status)] if cell.status else ""


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, header in enumerate(headers):
        last = index == len(headers) - 1
        justify = "right" if _numbers(rows, index) else "left"
        made.add_column(header, justify=justify, no_wrap=not last, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(Text(*_styled(cell)) for cell in row))
    _print(made)


def _print(renderable: Any, stderr: bool = False, one_line: bool = False) -> None:
    from rich.console import Console  # noqa: PLC0415

    overflow: Literal["ellipsis"] | None = "ellipsis" if one_line else None
    console = Console(stderr=stderr, highlight=False)
    console.print(renderable, no_wrap=one_line or None, overflow=overflow)
