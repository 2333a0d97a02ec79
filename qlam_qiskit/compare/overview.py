"""The tables of all comparisons: models by tasks, from the records of several comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.compare.metric import metric_of
from qlam_qiskit.compare.settings import Comparison
from qlam_qiskit.compare.tables import behind, format_figure, sentence


@dataclass(frozen=True)
class Column:
    """One task: a comparison, and the entry of one of its cases in the table that ``make_table`` returns."""

    comparison: Comparison
    entry: dict[str, Any]

    @property
    def title(self) -> str:
        """The task's name, or what varies between the tasks of one comparison."""
        vary = self.comparison.vary
        if vary is None or vary.names_tasks:
            return self.entry["task"]
        return self.entry["case"].replace(vary.key, f"{vary.key} ")


def overview(columns: Sequence[Column]) -> str:
    """Write what was measured as Markdown: a table of single tasks, one for each that varies, then the tests."""
    groups: dict[int | None, list[Column]] = {}
    for column in sorted(columns, key=lambda column: column.comparison.vary is not None):
        groups.setdefault(None if column.comparison.vary is None else id(column.comparison), []).append(column)
    parts = []
    for group in groups.values():
        if group[0].comparison.vary is not None:
            parts.append(f"{group[0].comparison.description}:")
        parts.append(measured(group))
        if reported := _reported(group):
            parts += ["Reported elsewhere, of other sizes and training, not run here:", reported]
        tests = [f"- {sentence(column.comparison, column.entry)}" for column in group if column.entry["test"]]
        if tests:
            parts.append("\n".join(tests))
    return "\n\n".join(parts) + "\n"


def measured(columns: Sequence[Column]) -> str:
    """Write test results, the best of each task in bold, and which models are ahead of the reference."""
    metric = metric_of(columns[0].comparison)
    labels = {
        row["model"]: column.comparison.models[row["model"]].label for column in columns for row in column.entry["rows"]
    }
    reference = columns[0].comparison.reference
    best = [max((row[metric.test] for row in column.entry["rows"]), key=metric.score) for column in columns]
    lines = []
    for model, label in sorted(labels.items(), key=lambda item: item[0] != reference):
        cells = []
        for column, highest in zip(columns, best, strict=True):
            row = next((row for row in column.entry["rows"] if row["model"] == model), None)
            text = "" if row is None else metric.written(row[metric.test], row["deviation"])
            cells.append(f"**{text}**" if row is not None and row[metric.test] == highest else text)
        lines.append([label, *cells])
    if reference in labels:
        ahead = (", ".join(behind(column.comparison, column.entry)) for column in columns)
        ran = [any(row["model"] == reference for row in column.entry["rows"]) for column in columns]
        ahead = [names or ("none" if here else "") for names, here in zip(ahead, ran, strict=True)]
        lines.append([f"*ahead of {labels[reference]}*", *ahead])
    lines.append(["*parameters*", *(_range(column.entry["rows"]) for column in columns)])
    return _table([metric.title, *(column.title for column in columns)], lines)


def _reported(columns: Sequence[Column]) -> str:
    """Write the figures of the paper and of the literature; empty where there are none."""
    figures: dict[tuple[str, str], list[str]] = {}
    for kind in ("paper", "published"):
        for position, column in enumerate(columns):
            for contestant in column.comparison.models.values():
                if (figure := getattr(contestant, kind)) is not None:
                    cells = figures.setdefault((contestant.label, figure.source), [""] * len(columns))
                    cells[position] = format_figure(figure)
    lines = [[f"{label} ({source})", *cells] for (label, source), cells in figures.items()]
    return _table(["test accuracy, %", *(column.title for column in columns)], lines) if lines else ""


def _range(rows: Iterable[dict[str, Any]]) -> str:
    counts = [row["parameters"] for row in rows]
    return f"{min(counts):,} to {max(counts):,}"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
