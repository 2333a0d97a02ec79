"""Keeps the pages that show comparisons equal to the committed results: ``python -m qlam_qiskit.compare.pages``.

Everything between the two marker comments is generated from the records in ``results/*/``: one small table in README;
in docs/comparisons.md an overview of all tasks, then the full table of each comparison. The tables beside the records
are written anew with them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from qlam_qiskit.compare.finding import load_comparison
from qlam_qiskit.compare.overview import Column, measured, overview
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.tables import Table, make_table, to_markdown, write_tables
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.workspace import write_file

BEGIN, END = "<!-- comparisons: generated from results/ -->", "<!-- end of comparisons -->"


_NONE = "None has finished yet.\n"


def front(results: Path) -> str:
    """Write the accuracies on single tasks in a results folder as one table."""
    columns = [column for column in _columns(results) if column.comparison.vary is None]
    return f"{measured(columns)}\n" if columns else _NONE


def summary(results: Path) -> str:
    """Write the overview of all comparisons in a results folder as Markdown."""
    return overview(columns) if (columns := _columns(results)) else _NONE


def details(results: Path) -> str:
    """Write the overview, and the full table of every comparison in a results folder, as Markdown."""
    parts = [
        f"## {name}\n\n{comparison.description}. {to_markdown(comparison, name, table)}"
        for name, comparison, table in _finished(results)
    ]
    return "\n".join([f"## All tasks\n\n{summary(results)}", *parts]) if parts else _NONE


PAGES: dict[str, Callable[[Path], str]] = {"README.md": front, "docs/comparisons.md": details}


def _columns(results: Path) -> list[Column]:
    return [Column(comparison, entry) for _, comparison, table in _finished(results) for entry in table]


def replaced(text: str, begin: str, end: str, body: str) -> str:
    """Return a page's text with ``body`` between its markers; raises ConfigurationError without them."""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ConfigurationError(f"the page lacks the markers {begin} and {end}")
    return f"{before}{begin}\n\n{body}\n{end}{after}"


def updated(text: str, body: str) -> str:
    """Return a page's text with the part on comparisons replaced; raises ConfigurationError without markers."""
    return replaced(text, BEGIN, END, body)


def _finished(results: Path) -> Iterator[tuple[str, Comparison, Table]]:
    """Yield name, comparison and table of every folder that has a record; sMNIST comes first."""
    for path in sorted(results.glob("*/comparison.yaml"), reverse=True):
        comparison = load_comparison(str(path))
        if table := make_table(comparison, Records(path.parent)):
            yield path.parent.name, comparison, table


def main() -> None:
    """Update the pages in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="the repository; default: here")
    root = parser.parse_args().root
    for name, comparison, _ in _finished(root / "results"):
        write_tables(comparison, name, Records(root / "results" / name))
    for page, make in PAGES.items():
        path = root / page
        write_file(path, updated(path.read_text(encoding="utf-8"), make(root / "results")))


if __name__ == "__main__":
    main()
