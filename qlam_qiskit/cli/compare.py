"""``qlam compare``: several models on one task under one budget."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, dask, data_dir, workers

if TYPE_CHECKING:
    from qlam_qiskit.compare import Comparison

_MOST_SEEDS = 1000


@click.command("compare")
@click.argument("name", shell_complete=completion.comparison_names)
@data_dir
@click.option("--models", metavar="A,B", help="Only these models of the comparison.")
@click.option("--seeds", metavar="SEEDS", help="Exactly these seeds, such as 0-2 or 0,5; default: the comparison's.")
@click.option("--cases", metavar="A,B", help="Only these cases of a comparison that varies a key, such as delay20.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Records; default: results/NAME.")
@click.option("--check", "checking", is_flag=True, help="Train the recorded runs again and compare; write nothing.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="With --check, percentage points (or NRMSE) by which test results may differ.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Train on the processor or a GPU.",
)
@workers
@dask
@as_json
def compare_command(
    name: str,
    data_dir: Path | None,
    models: str | None,
    seeds: str | None,
    cases: str | None,
    out: Path | None,
    checking: bool,
    tolerance: float,
    device: str,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Train the models of comparison NAME on equal terms, and write a table with significance tests.

    NAME is a file in experiments/comparisons, or a YAML file's path. Finished runs are skipped and interrupted ones
    resumed: the same command continues, after Ctrl-C as after a crash. With --workers or --dask several processes
    train, to the same bits; when one dies, another takes its training up. Rounding differs between processors, and
    with it the last digits.

    Example: qlam compare smnist --data-dir data --models qlam,gru --seeds 0-2
    """
    from qlam_qiskit.cluster import cluster
    from qlam_qiskit.compare import Choice, check_records, compare, load_comparison, make_table, to_markdown
    from qlam_qiskit.progress import interruptible

    comparison = load_comparison(name)
    stem = Path(name).stem
    out = out or Path("results") / stem
    choice = Choice(_parse_names(models), _parse_seeds(seeds), _parse_names(cases))
    say = lambda line: click.echo(line, err=True)  # noqa: E731
    with interruptible() as asked, cluster(workers, dask) as processes:
        shared: dict[str, Any] = {
            "out": out, "choice": choice, "data_dir": data_dir, "say": say, "should_stop": asked, "cluster": processes,
            "device": device,
        }  # fmt: skip
        if checking:
            found = check_records(comparison, stem, _named, tolerance=tolerance, **shared)
        else:
            found = make_table(comparison, compare(comparison, stem, _follow, **shared))
    if as_json:
        click.echo(json.dumps({"comparison": stem, "checked" if checking else "table": found}))
    elif not checking and sys.stdout.isatty():
        _print_table(comparison, found)
        click.echo(f"{out / 'table.md'} says under what budget, and names its sources")
    elif not checking:
        click.echo(to_markdown(comparison, stem, found), nl=False)


def _print_table(comparison: Comparison, table: list[dict[str, Any]]) -> None:
    """Draw a comparison's table for a terminal: results of one task below each other."""
    from rich.console import Console
    from rich.table import Column, Table

    from qlam_qiskit.compare import metric_of, sentence, task_name, written_seconds

    metric = metric_of(comparison)
    console = Console(highlight=False, markup=False)
    for entry in table:
        numbers = (Column(title, justify="right") for title in (metric.title, "parameters", "seeds", "s a run"))
        title = task_name(comparison, entry)
        drawn = Table(title, *numbers, box=None, pad_edge=False)
        for row in entry["rows"]:
            drawn.add_row(
                comparison.models[row["model"]].label,
                metric.written(row[metric.test], row["deviation"]),
                f"{row['parameters']:,}",
                str(len(row["seeds"])),
                written_seconds(row),
            )
        console.print(drawn)
        if entry["test"]:
            console.print(sentence(comparison, entry))
        console.print()


@contextmanager
def _named(job: Any) -> Iterator[Any]:
    click.echo(job.name, err=True)
    with _follow(job) as bar:
        yield bar


@contextmanager
def _follow(job: Any) -> Iterator[Any]:
    from qlam_qiskit.progress import TrainingBar

    with TrainingBar(job.experiment.training.epochs) as bar:
        yield bar


def _parse_names(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


def _parse_seeds(text: str | None) -> list[int] | None:
    """Read 0-2 or 0,5 as seeds."""
    from qlam_qiskit.errors import ConfigurationError

    if text is None:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            found = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            found = range(0)
        if not found:
            raise ConfigurationError(f"--seeds {text}: expected numbers and ranges, such as 0-2 or 0,5")
        if found[-1] - found[0] + len(seeds) >= _MOST_SEEDS:
            raise ConfigurationError(f"--seeds {text}: more than {_MOST_SEEDS:,} seeds")
        seeds.extend(seed for seed in found if seed not in seeds)
    return seeds
