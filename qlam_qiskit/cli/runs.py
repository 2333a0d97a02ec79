"""``qlam runs``: the runs in the workspace."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion, options
from qlam_qiskit.cli.options import as_json

if TYPE_CHECKING:
    from qlam_qiskit.runs import Overview, SavedRun


@click.group()
def runs() -> None:
    """List, show, export and remove runs.

    RUN is a run's folder or its name in ./runs (or QLAM_HOME).

    Example: qlam runs list
    """


@runs.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """Show the runs of this workspace, the latest first.

    Example: qlam runs list
    """
    from qlam_qiskit.runs import find_runs

    found = find_runs()
    if as_json:
        click.echo(json.dumps({"runs": [_as_dict(run) for run in found]}))
        return
    if not found:
        click.echo("no runs yet; qlam train digits makes one", err=True)
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from qlam_qiskit.words import span

    name = Column("run", no_wrap=True, min_width=max(len(run.name) for run in found))
    numbers = (Column(title, justify="right") for title in ("accuracy", "parameters", "evaluations", "age"))
    table = Table(name, "task", *numbers, box=None, pad_edge=False)
    for run in found:
        task = run.task or run.problem or ""
        parameters = "" if run.parameters is None else f"{run.parameters:,}"
        table.add_row(Text(run.name), Text(task), _accuracy(run), parameters, str(run.evaluations or ""), span(run.age))
    Console(highlight=False).print(table)


@runs.command("show")
@options.run
@as_json
def show_command(run: Path, as_json: bool) -> None:
    """Show all about RUN: what was trained, where, how well, and every evaluation.

    Example: qlam runs show digits
    """
    from qlam_qiskit.run import Run
    from qlam_qiskit.runs import Overview, repeating_command

    opened = Run.open(run)
    description, result = opened.folder.description(), opened.result
    if as_json:
        values = {**_as_dict(Overview.of(opened.folder)), "description": description, "result": result}
        experiment = opened.experiment.model_dump(exclude_none=True)
        click.echo(json.dumps({**values, "experiment": experiment, "evaluations": opened.evaluations}))
        return
    for name, value in _lines(opened, description, result):
        click.echo(f"{name:<12}{value}")
    for row in opened.evaluations:
        drawn = f"{row['shots']:,} shots" if row.get("shots") else "exact"
        click.echo(
            f"{'evaluated':<12}{row['accuracy']:.2%} of {row['samples']:,} {row.get('part', 'test')} samples on "
            f"{row['backend']} ({drawn})"
        )
    click.echo(f"{'again':<12}{repeating_command(opened)}, in {opened.path}")


@runs.command("export")
@options.run
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; default: ./NAME.zip.")
@as_json
def export_command(run: Path, out: Path | None, as_json: bool) -> None:
    """Write RUN into one zip file: circuit as QPY, weights, figures, experiment, and the command that repeats it.

    Unpacked, it is a run's folder again.

    Example: qlam runs export digits --out digits.zip
    """
    from qlam_qiskit.run import Run
    from qlam_qiskit.runs import export_run

    opened = Run.open(run)
    out = out or Path(f"{opened.path.resolve().name}.zip")
    names = export_run(opened, out)
    click.echo(json.dumps({"file": str(out), "contents": names}) if as_json else str(out))


@runs.command("remove")
@click.argument(
    "names",
    shell_complete=completion.run_names,
    nargs=-1,
    required=True,
    metavar="RUN...",
    type=click.Path(path_type=Path),
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_command(names: tuple[Path, ...], yes: bool) -> None:
    """Remove runs with their weights, after asking. What others put into their folders stays.

    Example: qlam runs remove digits-2 digits-3
    """
    from qlam_qiskit.errors import ConfigurationError
    from qlam_qiskit.run import Run
    from qlam_qiskit.runs import remove_run

    opened = [Run.open(name) for name in names]
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigurationError("nobody is here to be asked; --yes removes without asking")
        click.confirm(f"Remove {', '.join(str(run.path) for run in opened)} for good?", abort=True, err=True)
    for run in opened:
        left = remove_run(run)
        kept = f", but for {', '.join(path.name for path in left)}" if left else ""
        click.echo(f"removed {run.path}{kept}")


def _lines(run: SavedRun, description: dict[str, Any], result: dict[str, Any] | None) -> list[tuple[str, str]]:
    from qlam_qiskit.model import ModelSettings

    model = run.experiment.model
    kind = model.kind
    if isinstance(model, ModelSettings):
        kind = f"{kind}, {model.circuit.template} on {model.circuit.qubits} qubits"
    lines = [
        ("run", str(run.path)),
        ("task", f"{description.get('task')}"),
        ("model", f"{kind}, {description.get('parameters', 0):,} parameters"),
        ("backend", f"{description.get('backend')}, seed {run.experiment.seed}"),
        ("epochs", f"{len(run.metrics)} of {run.experiment.training.epochs}"),
    ]
    if result is not None:
        noise = ""
        if result.get("test_noise"):
            noise = f" with {result['test_noise']}, {result['clean_test_accuracy']:.2%} without noise"
        lines.append(("test", f"{result['test_accuracy']:.2%} of {result['test_samples']:,} samples{noise}"))
        lines.append(("training", f"{result['train_seconds']:.1f} s, best epoch {result['best_epoch']}"))
    return lines


def _as_dict(run: Overview) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(run), "path": str(run.path), "age": round(run.age)}


def _accuracy(run: Overview) -> str:
    if run.accuracy is not None:
        return f"{run.accuracy:.2%}"
    return "damaged" if run.problem else f"epoch {run.epochs}"
