"""``qlam runs``: the runs in the workspace."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion, options
from qlam_qiskit.cli.options import as_json
from qlam_qiskit.cli.tables import Parts, print_described, print_table
from qlam_qiskit.redaction import one_line

if TYPE_CHECKING:
    from qlam_qiskit.runs import Overview


@click.group()
def runs() -> None:
    """List, show, export and remove runs.

    RUN is a run's folder or its name in ./runs (or QLAM_HOME), or pretrained:NAME, one that comes with the package.

    Example: qlam runs list
    """


@runs.command("list")
@click.option("--pretrained", is_flag=True, help="Show those that come with the package instead.")
@as_json
def list_command(pretrained: bool, as_json: bool) -> None:
    """Show the runs of this workspace, the latest first.

    Example: qlam runs list --pretrained
    """
    from qlam_qiskit.runs import find_runs

    if pretrained:
        _list_pretrained(as_json)
        return
    found = find_runs()
    if as_json:
        click.echo(json.dumps({"runs": [_as_dict(run) for run in found]}))
        return
    if not found:
        said = "no runs yet; qlam train digits makes one, and --pretrained shows those that came with the package"
        click.echo(said, err=True)
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
        table.add_row(Text(run.name), Text(task), run.reached, parameters, str(run.evaluations or ""), span(run.age))
    Console(highlight=False).print(table)


def _list_pretrained(as_json: bool) -> None:
    from qlam_qiskit.runs import Overview, RunFolder, accuracies, find_pretrained

    # Opened by their paths, so that evaluations of the user's own are not among the figures.
    folders = [RunFolder(path) for path in find_pretrained().values()]
    found = [(_as_dict(Overview.of(folder)), *accuracies(folder)) for folder in folders]
    rows = [
        {**row, "name": f"pretrained:{row['name']}", "noiseless": noiseless, "noisy": noisy}
        for row, noiseless, noisy in found
    ]
    if as_json:
        click.echo(json.dumps({"runs": rows}))
        return
    from rich.table import Column

    name = Column("run", no_wrap=True, min_width=max((len(row["name"]) for row in rows), default=0))
    numbers = (Column(title, justify="right") for title in ("params", "no noise"))
    lines = []
    for row in rows:
        noisy = Parts(f"{accuracy:.1%} {backend}  " for backend, accuracy in row["noisy"].items())
        lines.append((row["name"], row["task"], f"{row['parameters']:,}", f"{row['noiseless']:.2%}", noisy))
    print_table((name, "task", *numbers, "with noise"), lines)


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
    if as_json:
        description, result = opened.folder.description(), opened.result
        values = {**_as_dict(Overview.of(opened.folder)), "description": description, "result": result}
        experiment = opened.experiment.model_dump(exclude_none=True)
        card = opened.card.model_dump() if opened.card else None
        click.echo(json.dumps({**values, "experiment": experiment, "evaluations": opened.evaluations, "card": card}))
        return
    again = opened.card.again if opened.card else f"{repeating_command(opened)}, in {opened.path}"
    print_described(opened.described(), 12)
    # Not wrapped: it is there to be copied.
    click.echo(f"{'again':<12}{one_line(again)}")


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


def _as_dict(run: Overview) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(run), "path": str(run.path), "age": round(run.age)}
