"""Writes a report: one HTML page that holds its style and figures and asks the network for nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qlam_qiskit import __version__
from qlam_qiskit.configuration import whole
from qlam_qiskit.errors import QlamError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.report.findings import MOST_REGISTERS, Findings
from qlam_qiskit.report.gallery import OF_A_SAMPLE, Absent, Picture, chosen, pictures, usual
from qlam_qiskit.report.memory_figures import MOST_PANELS
from qlam_qiskit.report.style import as_file, as_inline_svg
from qlam_qiskit.report.summary import Headline
from qlam_qiskit.runs import SavedRun
from qlam_qiskit.workspace import write_file


@dataclass(frozen=True)
class Written:
    """Files that were written, the figures in them, and why others were left out."""

    files: tuple[Path, ...]
    figures: tuple[str, ...]
    left_out: dict[str, str]


def build_report(run: SavedRun | Path | str, *, out: Path | None = None, **options: Any) -> Written:
    """Write the report of a run, by default as report.html in its folder.

    ``options`` are those of :class:`Findings`: limit, samples, noise, backends and progress. Raises QlamError when the
    run or its data are not there, or the file cannot be written.
    """
    findings = Findings.of(SavedRun.open(run), **options)
    out = out or findings.run.folder.addition("report.html")
    if not out.parent.is_dir():
        raise QlamError(f"{out}: cannot be written: there is no folder {out.parent}")
    drawn: dict[str, dict[int | None, Markup]] = defaultdict(dict)
    left_out, titles = {}, []
    for found in pictures(findings, usual(findings)):
        if isinstance(found, Absent):
            left_out[found.name] = found.reason
        else:
            drawn[found.name][found.sample] = _inline(found)
            titles.append(found.title)
    write_file(out, _page(findings, drawn, left_out))
    return Written((out,), tuple(titles), left_out)


def write_figures(
    run: SavedRun | Path | str,
    names: Sequence[str] = (),
    *,
    kind: str = "png",
    out: Path | None = None,
    **options: Any,
) -> Written:
    """Write figures of a run, by default all, as "png", "svg" or "pdf" files in ``out`` (the run's folder, figures/).

    ``options`` are those of :func:`build_report`. Raises QlamError when a figure that was named does not apply.
    """
    asked = chosen(names)
    findings = Findings.of(SavedRun.open(run), **options)
    out = out or findings.run.folder.addition("figures")
    files, titles, left_out = [], [], {}
    for found in pictures(findings, asked or usual(findings)):
        if isinstance(found, Picture):
            files.append(out / f"{found.title}.{kind}")
            write_file(files[-1], as_file(found.figure, kind), parents=True)
            titles.append(found.title)
        elif names:
            raise QlamError(f"{found.name}: {found.reason}")
        else:
            left_out[found.name] = found.reason
    return Written(tuple(files), tuple(titles), left_out)


def draw(
    run: SavedRun | Path | str, name: str, *, sample: int = 0, limit: int | None = None, **options: Any
) -> Picture:
    """Draw one figure of a run; what follows one sample does so for the test sample of this number.

    ``options`` are those of :func:`build_report`. Raises QlamError when the figure does not apply.
    """
    sample = whole("sample", sample, 0)
    limit = sample + 1 if limit is None and name in OF_A_SAMPLE else limit
    findings = Findings.of(SavedRun.open(run), limit=limit, samples=[sample], **options)
    (found,) = pictures(findings, chosen([name]))
    if isinstance(found, Absent):
        raise QlamError(f"{found.name}: {found.reason}")
    return found


def _page(findings: Findings, drawn: dict, left_out: dict[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("qlam_qiskit.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "seconds": _seconds, "count": lambda number: f"{number:,}"}
    return environment.get_template("report.html.j2").render(
        headline=Headline.of(findings.run),
        findings=findings,
        drawn=drawn,
        left_out=left_out,
        experiment=dump_yaml(_without_none(findings.run.experiment.model_dump())),
        most_registers=MOST_REGISTERS,
        most_panels=MOST_PANELS,
        version=__version__,
    )


def _inline(picture: Picture) -> Markup:
    label = f"{picture.name} of test sample {picture.sample}" if picture.sample is not None else picture.name
    return Markup(as_inline_svg(picture.figure, picture.title, label, text_as_paths=picture.name == "circuit"))


def _without_none(value: Any) -> Any:
    """Leave out the options that a section does not have."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner not in (None, {})}
    return value


def _percent(part: float, digits: int = 2) -> str:
    return f"{100 * part:.{digits}f}\u202f%"


def _seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
