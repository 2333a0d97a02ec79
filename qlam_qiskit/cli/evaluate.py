"""``qlam evaluate``: test a trained model on any backend."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, ask, data_dir, on_samples, yes


@click.command("evaluate")
@on_samples
@click.option("--mitigate", is_flag=True, help="Undo readout errors by the device's calibration.")
@click.option(
    "--submission",
    metavar="ID",
    shell_complete=completion.submission_ids,
    help="Score what was submitted before, from its saved results.",
)
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

    Without --backend on the one it was trained on, with the noise it was trained with, as at the end of training;
    --backend NAME has no noise but its own.

    On a device, real or fake, the cost is shown first, jobs go through the ledger, and this command waits for them.

    Example: qlam evaluate runs/digits --backend aer_shots --shots 4096 --limit 200
    """
    from qlam_qiskit.progress import SampleBar
    from qlam_qiskit.run import Run
    from qlam_qiskit.words import quality

    say = lambda line: click.echo(line, err=True)  # noqa: E731
    opened = Run.open(run, data_dir)
    if submission is not None:
        result = opened.score(submission, mitigate=mitigate, report=say)
    else:
        with SampleBar("evaluating") as bar:
            result = opened.evaluate(
                backend,
                shots=shots,
                part=part,
                limit=limit,
                seed=seed,
                mitigate=mitigate,
                anyway=yes,
                confirm=ask,
                backends=backends_file,
                progress=bar.progress,
                report=bar.say,
            )
    if as_json:
        click.echo(json.dumps(result))
    else:
        drawn = f"{result['shots']:,} shots" if result["shots"] else "exact"
        drawn = f"with the noise of its training: {result['noise']}" if "noise" in result else drawn
        click.echo(
            f"{result['task']}: {quality(result)} {result['samples']:,} {result['part']} samples on "
            f"{result['backend']} ({drawn}), {result['seconds']:.1f} s"
        )
