"""``qlam plot``: the figures of a report as files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, backends_file, data_dir, limit, run
from qlam_qiskit.cli.report import noise, samples


@click.command("plot")
@run
@click.argument("figures", nargs=-1, metavar="[FIGURE]...", shell_complete=completion.figure_names)
@click.option("--format", "kind", type=click.Choice(["png", "svg", "pdf"]), default="png", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Their folder; default: RUN/figures.")
@limit
@samples
@noise
@data_dir
@backends_file
@as_json
def plot_command(
    run: Path,
    figures: tuple[str, ...],
    kind: str,
    out: Path | None,
    limit: int | None,
    samples: int,
    noise: tuple[str, ...],
    data_dir: Path | None,
    backends_file: Path | None,
    as_json: bool,
) -> None:
    """Write figures of RUN for a paper: one column wide, PNG at 300 dots per inch.

    FIGURE is any of training, backends, confusion, mistakes, circuit, rates, forgetting, memory, attention and
    readouts; none means all. The last three are one file for each sample that is looked at.

    Example: qlam plot runs/mnist_rows memory attention --format svg --out figures --data-dir data
    """
    from qlam_qiskit.cli.report import stages
    from qlam_qiskit.report import write_figures
    from qlam_qiskit.runs import SavedRun

    opened = SavedRun.open(run, data_dir)
    with stages() as progress:
        written = write_figures(
            opened,
            figures,
            kind=kind,
            out=out,
            limit=limit,
            samples=samples,
            noise=noise,
            backends=backends_file,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({"files": [str(path) for path in written.files], "left_out": dict(written.left_out)}))
        return
    for path in written.files:
        click.echo(str(path))
    for name, reason in written.left_out.items():
        click.echo(f"{name} left out: {reason}", err=True)
