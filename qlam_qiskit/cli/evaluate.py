"""``qlam evaluate``: test a trained model on any backend."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, backend, backends_file, data_dir


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@backend
@backends_file
@click.option("--shots", type=click.IntRange(1), help="Shots of each circuit execution.")
@click.option("--limit", type=click.IntRange(1), help="Take the first N test samples only.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Fixes the shots; default: the run's seed.")
@data_dir
@as_json
def evaluate_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    shots: int | None,
    limit: int | None,
    seed: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Test the best weights of RUN, a run's folder or its name in ./runs.

    Example: qlam evaluate runs/digits --backend aer_shots --shots 4096 --limit 200
    """
    from qlam_qiskit.cli.progress import sample_bar
    from qlam_qiskit.evaluate import evaluate

    with sample_bar("evaluating") as report:
        result = evaluate(
            run,
            backend=backend,
            shots=shots,
            limit=limit,
            seed=seed,
            data_dir=data_dir,
            backends=backends_file,
            report=report,
        )
    if as_json:
        click.echo(json.dumps(result))
    else:
        shots_used = f"{result['shots']:,} shots" if result["shots"] else "exact"
        click.echo(
            f"{result['task']}: {result['accuracy']:.2%} of {result['samples']:,} test samples on "
            f"{result['backend']} ({shots_used}), {result['seconds']:.1f} s"
        )
