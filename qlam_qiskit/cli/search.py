"""``qlam search``: search for the best settings of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, backend, backends_file, dask, data_dir, workers

if TYPE_CHECKING:
    from qlam_qiskit.searching import Findings


@click.command("search")
@click.argument("experiment", shell_complete=completion.experiment_names)
@click.argument("space", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--trials", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Of the study in all.")
@click.option(
    "--sampler", metavar="NAME", default="tpe", show_default=True, help="tpe, random, grid, cmaes, gp or qmc."
)
@click.option(
    "--pruner",
    metavar="NAME",
    default="median",
    show_default=True,
    help="What ends trials early, by validation accuracy after each epoch: median, hyperband, halving or none.",
)
@click.option("--storage", metavar="URL", help="As Optuna takes it, or a journal's path; default: SQLite in ./runs.")
@click.option("--name", help="The study's name; default: the experiment's.")
@click.option("--search-seed", type=click.IntRange(0, 2**32 - 1), default=0, help="What the sampler draws from.")
@backend
@backends_file
@data_dir
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="The trainings' seed.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a key of the experiment.")
@workers
@dask
@as_json
def search_command(
    experiment: str,
    space: Path | None,
    backend: str | None,
    backends_file: Path | None,
    seed: int | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the settings of EXPERIMENT that do best on its validation samples.

    SPACE is a YAML file of keys of the experiment and their values; without one both learning rates are searched, and a
    memory's scales. The same command goes on with the study, after Ctrl-C as after a crash, and in several processes or
    on several machines at once. The test set is not looked at.

    Example: qlam search digits space.yaml --trials 50 --workers 2
    """
    from qlam_qiskit.by_name import search
    from qlam_qiskit.progress import interruptible
    from qlam_qiskit.runs import load_experiment

    loaded = load_experiment(experiment, assignments, seed=seed, backend=backend)
    options["name"] = options["name"] or Path(experiment).stem
    with interruptible() as asked:
        found = search(loaded, space, backends=backends_file, should_stop=asked, **options)
    if as_json:
        click.echo(json.dumps(_as_dict(found)))
        return
    best = found.best
    counted = ", ".join(f"{count} {state}" for state, count in found.counts.items() if count)
    click.echo(f"{found.trials} trials: {counted}")
    click.echo(f"best: trial {best.number}, {best.validation_accuracy:.2%} of validation samples")
    for key, value in best.point.items():
        click.echo(f"  {key}: {value:.6g}" if isinstance(value, float) else f"  {key}: {value}")
    click.echo(f"{best.path}\n{found.page}")


def _as_dict(found: Findings) -> dict[str, Any]:
    best = found.best
    return {
        "study": found.name,
        "storage": found.url,
        "trials": found.trials,
        **found.counts,
        "best": {
            "trial": best.number,
            "validation_accuracy": best.validation_accuracy,
            "point": best.point,
            "experiment": str(best.path),
            "run": str(best.run),
        },
        "page": str(found.page),
    }
