"""Keeps README's comparison tables equal to the committed results: ``python -m qlam_qiskit.compare.readme``.

Everything between the two marker comments is generated from the records in ``results/*/``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qlam_qiskit.compare.finding import load_comparison
from qlam_qiskit.compare.records import Records
from qlam_qiskit.compare.tables import make_table, to_markdown
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.workspace import write_atomically

BEGIN, END = "<!-- comparisons: generated from results/ -->", "<!-- end of comparisons -->"


def generate(results: Path) -> str:
    """Write the tables of all comparisons in a results folder as Markdown, one after the other."""
    parts = []
    for path in sorted(results.glob("*/comparison.yaml")):
        comparison, name = load_comparison(str(path)), path.parent.name
        table = make_table(comparison, Records(path.parent))
        if table:
            parts.append(f"{comparison.description}. {to_markdown(comparison, name, table)}")
    return "\n".join(parts) or "None has finished yet.\n"


def updated(text: str, results: Path) -> str:
    """Return a README's text with the part between its markers generated; raises ConfigurationError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ConfigurationError(f"README lacks the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{generate(results)}\n{END}{after}"


def main() -> None:
    """Update a README in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", nargs="?", type=Path, default=Path("README.md"))
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    write_atomically(arguments.readme, updated(arguments.readme.read_text(encoding="utf-8"), arguments.results))


if __name__ == "__main__":
    main()
