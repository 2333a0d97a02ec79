"""``qlam evaluate``: test a trained model on any backend."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, ask, backend, backends_file, data_dir, limit, part, sample_seed, shots, yes


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@backend
@backends_file
@shots
@part
@limit
@sample_seed
@click.option("--mitigate", is_flag=True, help="Undo readout errors by the device's calibration.")
@click.option("--submission", metavar="ID", help="Score what was submitted before, from its saved results.")
@yes
@data_dir
@as_json
def evaluate_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    shots: int | None,
    part: str,
    limit: int | None,
    seed: int | None,
    mitigate: bool,
    submission: str | None,
    yes: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Test the best weights of RUN, a run's folder or its name in ./runs.

    On a device, real or fake, the cost is shown first, jobs go through the ledger, and this command waits for them.

    Example: qlam evaluate runs/digits --backend aer_shots --shots 4096 --limit 200
    """
    from qlam_qiskit.cli.progress import sample_bar
    from qlam_qiskit.evaluation.evaluate import evaluate, evaluate_submission

    if submission is not None:
        result = evaluate_submission(run, submission, mitigate=mitigate, data_dir=data_dir)
    else:
        with sample_bar("evaluating") as progress:
            result = evaluate(
                run,
                backend=backend,
                shots=shots,
                part=part,
                limit=limit,
                seed=seed,
                mitigate=mitigate,
                anyway=yes,
                confirm=ask,
                data_dir=data_dir,
                backends=backends_file,
                progress=progress,
                report=lambda line: click.echo(line, err=True),
            )
    if as_json:
        click.echo(json.dumps(result))
    else:
        drawn = f"{result['shots']:,} shots" if result["shots"] else "exact"
        click.echo(
            f"{result['task']}: {result['accuracy']:.2%} of {result['samples']:,} {result['part']} samples on "
            f"{result['backend']} ({drawn}), {result['seconds']:.1f} s"
        )
