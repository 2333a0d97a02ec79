"""Tables of the command line, in which text is text: no markup, no emoji, no escape sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Column


def print_table(columns: Sequence[str | Column], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under the names of ``columns``; a cell is one line, broken where its column ends."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from qlam_qiskit.redaction import hide, one_line

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # Credentials are looked for before lines are broken.
        table.add_row(*(Text(one_line(hide(str(cell)))) for cell in row))
    Console().print(table)
