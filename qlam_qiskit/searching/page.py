"""Writes the page of a search: one HTML file that holds its figures and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qlam_qiskit import __version__
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.redaction import hide
from qlam_qiskit.report import as_inline_svg, stylesheet
from qlam_qiskit.searching.figures import draw_study
from qlam_qiskit.searching.study import Entry, Study
from qlam_qiskit.workspace import write_file

_MOST_ROWS = 1000
_CAPTIONS = {
    "history": "Each dot is a complete trial; the line is the best one so far.",
    "importance": "How much of the differences between complete trials each key accounts for (functional ANOVA). Few "
    "trials say little.",
    "slices": "Complete trials along each key.",
    "curves": "Validation accuracy after each epoch: the best trial in blue, pruned ones in orange.",
}


def write_page(study: Study, best: int | None, counts: dict[str, int], out: Path) -> None:
    """Write the page of a study; ``best`` is the number of its best trial, ``counts`` how its trials ended."""
    drawn, left_out = {}, {}
    for found in draw_study(study):
        if found.figure is None:
            left_out[found.name] = found.reason
        else:
            drawn[found.name] = Markup(as_inline_svg(found.figure, found.name, _CAPTIONS[found.name]))
    entries = sorted(study.entries(), key=_rank)
    environment = Environment(
        loader=PackageLoader("qlam_qiskit.searching", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("search.html.j2").render(
        name=study.study.study_name,
        url=hide(study.keeping.url),
        style=Markup(stylesheet()),
        counts={name: count for name, count in counts.items() if count},
        best=next((entry for entry in entries if entry.number == best), None),
        entries=entries[:_MOST_ROWS],
        hidden=len(entries) - _MOST_ROWS,
        keys=[dimension.name for dimension in study.space.dimensions],
        space=dump_yaml(study.space.description()),
        drawn=drawn,
        left_out=left_out,
        captions=_CAPTIONS,
        shown=_shown,
        version=__version__,
    )
    write_file(out, page, parents=True)


def _rank(entry: Entry) -> tuple[bool, float, int]:
    value = entry.last.value
    return value is None, -(value or 0.0), entry.number


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
