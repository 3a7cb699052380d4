"""Printing: tables with colours on a terminal, plain aligned columns without a wrap in a pipe."""

import io
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pydantic_core import to_json
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from include.sizes import size as size  # noqa: PLC0414 - printed here like ages and moments

_ENDLESS = 100_000


def out() -> Console:
    """Return the console of stdout. NO_COLOR and a pipe are respected by rich itself."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def say(text: str = "", *, style: str | None = None) -> None:
    """Print a line; what stands in square brackets is text, not style."""
    out().print(escape(text), style=style)


def as_json(content: object) -> None:
    """Print dataclasses, models and what they are made of as JSON."""
    sys.stdout.write(to_json(content, indent=2).decode() + "\n")


def heading(text: str) -> None:
    """Print a heading, after an empty line."""
    say()
    say(text, style="bold")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Print a table; columns named in `numbers` are set to the right. None is an empty cell.

    On a terminal too narrow for it, the last column, where sentences stand, goes below each row.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        for line in _plain(columns, cells, numbers=numbers):
            sys.stdout.write(line + "\n")
        return
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    _fill(drawn, columns, cells, numbers=numbers)
    if console.measure(drawn, options=console.options.update(width=_ENDLESS)).maximum <= console.width:
        console.print(drawn)
        return
    head, *lines = _plain(
        columns[:-1], [[cell.replace("\n", "\\n") for cell in row[:-1]] for row in cells], numbers=numbers
    )
    say(head, style="bold")
    for line, row in zip(lines, cells, strict=True):
        say(line)
        if row[-1]:
            console.print(Padding(escape(row[-1]), (0, 0, 0, 2)))


def _plain(columns: Sequence[str], cells: Sequence[Sequence[str]], *, numbers: Sequence[str]) -> list[str]:
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    _fill(drawn, columns, cells, numbers=numbers)
    wide = Console(file=io.StringIO(), width=_ENDLESS, color_system=None, highlight=False)
    wide.print(drawn)
    assert isinstance(wide.file, io.StringIO)
    return [line.rstrip() for line in wide.file.getvalue().splitlines()]


def _fill(drawn: Table, columns: Sequence[str], cells: Sequence[Sequence[str]], *, numbers: Sequence[str]) -> None:
    for column in columns:
        drawn.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    for row in cells:
        drawn.add_row(*(escape(cell) for cell in row))


def moment(when: datetime | None) -> str:
    """Return a time in UTC, to the second."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if when else ""


def age(seconds: float | None) -> str:
    """Return a length of time in its largest fitting unit: `3 min`."""
    if seconds is None:
        return ""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
