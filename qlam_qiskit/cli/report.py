"""``qlam report`` and what ``qlam plot`` shares with it: a run looked at, as a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, backends_file, data_dir, limit, run

samples = click.option(
    "--samples", type=click.IntRange(1, 50), default=6, show_default=True, help="Test samples to look at closely."
)
noise = click.option(
    "--noise",
    multiple=True,
    metavar="NAME",
    help="Also the memory under the errors of a fake device; default: those it was trained for or evaluated on.",
)


@click.command("report")
@run
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The page; default: RUN/report.html.")
@limit
@samples
@noise
@data_dir
@backends_file
@as_json
def report_command(
    run: Path,
    out: Path | None,
    limit: int | None,
    samples: int,
    noise: tuple[str, ...],
    data_dir: Path | None,
    backends_file: Path | None,
    as_json: bool,
) -> None:
    """Write a page about RUN: curves, mistakes, backends, and a look inside its memory.

    One HTML file that asks the network for nothing. RUN is a run's folder or its name in ./runs.

    Example: qlam report runs/mnist_rows --noise FakeTorino --data-dir data
    """
    from qlam_qiskit.report import build_report
    from qlam_qiskit.runs import SavedRun

    opened = SavedRun.open(run, data_dir)
    with stages() as progress:
        written = build_report(
            opened,
            out=out,
            limit=limit,
            samples=samples,
            noise=noise,
            backends=backends_file,
            progress=progress,
        )
    (page,) = written.files
    if as_json:
        click.echo(
            json.dumps({"report": str(page), "figures": list(written.figures), "left_out": dict(written.left_out)})
        )
    else:
        click.echo(str(page))


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far each kind of work is, on stderr; yields a function of (what, done, total)."""
    import matplotlib as mpl
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from qlam_qiskit.progress import console_of_bars

    mpl.use("Agg")
    console = console_of_bars()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report
