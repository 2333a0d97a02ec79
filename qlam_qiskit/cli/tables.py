"""Tables and lists of the command line, in which text is text: no markup, no emoji, no escape sequences."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from qlam_qiskit.redaction import hide, one_line

if TYPE_CHECKING:
    from rich.table import Column

_GAP = 2


class Parts(tuple[str, ...]):
    """A cell that is broken only between its parts, where its column is too narrow for all of them in a row."""

    @classmethod
    def of_name(cls, name: str) -> Parts:
        """Break a name after its own marks: ``pretrained:``, ``digits_``, ``device``."""
        return cls(re.findall(r"[^:/_-]+[:/_-]*|[:/_-]+", one_line(hide(name))))

    def __str__(self) -> str:
        return "".join(self).rstrip()

    def lines(self, width: int) -> list[str]:
        """Put as many parts into each line as it has room for."""
        lines = [""]
        for part in self:
            if lines[-1] and len(f"{lines[-1]}{part}".rstrip()) > width:
                lines.append("")
            lines[-1] += part
        return [line.rstrip() for line in lines]


def print_table(columns: Sequence[str | Column], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under the names of ``columns``; a cell is one line, broken where its column ends."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # Credentials are looked for before lines are broken.
    cells = [[cell if isinstance(cell, Parts) else one_line(hide(str(cell))) for cell in row] for row in rows]
    console = Console()
    drawn = [column if isinstance(column, Column) else Column(column) for column in columns]
    widths = _widths([str(column.header) for column in drawn], cells, console.width)
    table = Table(*drawn, box=None, pad_edge=False)
    for row in cells:
        broken = (
            "\n".join(cell.lines(width)) if isinstance(cell, Parts) else cell
            for cell, width in zip(row, widths, strict=True)
        )
        table.add_row(*map(Text, broken))
    console.print(table)


def print_described(described: Iterable[tuple[str, str]], width: int) -> None:
    """Print labels in a column of ``width`` and what they say beside them, wrapped where the window's width is known.

    It is known of a terminal, and from COLUMNS. What another program reads has a line for each label.
    """
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    room = max(Console().width - width, 20) if known else sys.maxsize
    for label, value in described:
        lines = wrap(one_line(value), room, break_long_words=False, break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            click.echo(f"{'' if number else label:<{width}}{line}")


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str | Parts]], room: int) -> list[int]:
    """Say how wide each column may be: the widest of those that have parts give way, down to their longest part."""
    columns = list(zip(headers, *rows, strict=True))
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    least = [_widest(column, 0) for column in columns]
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        yielding = [index for index, width in enumerate(widths) if width > least[index]]
        if not yielding:
            break
        chosen = max(yielding, key=widths.__getitem__)
        # As far as it gets by one break more, so that no room is left unused.
        widths[chosen] = _widest(columns[chosen], widths[chosen] - 1)
    return widths


def _widest(cells: Iterable[str | Parts], width: int) -> int:
    return max(len(line) for cell in cells for line in (cell.lines(width) if isinstance(cell, Parts) else [cell]))
