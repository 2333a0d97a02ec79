"""``qlam refit``: fit a run's last linear layer to a backend's readouts."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli import completion
from qlam_qiskit.cli.options import as_json, ask, backend, backends_file, data_dir, run, sample_seed, shots, yes


@click.command("refit")
@run
@backend
@backends_file
@click.option("--samples", type=click.IntRange(1), help="Take the first N training samples.")
@shots
@sample_seed
@click.option("--mitigate", is_flag=True, help="Undo readout errors by the device's calibration.")
@click.option(
    "--submission",
    metavar="ID",
    shell_complete=completion.submission_ids,
    help="Take what an earlier refit sent, from its saved results.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The new run's folder; default: RUN-refit-BACKEND.")
@yes
@data_dir
@as_json
def refit_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    samples: int | None,
    shots: int | None,
    seed: int | None,
    mitigate: bool,
    submission: str | None,
    out: Path | None,
    yes: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Fit the last linear layer of RUN to what a backend reads of training samples, as a new run.

    On a device the cost is shown first, and jobs go through the ledger; a refit that was cut off goes on with
    --submission once `qlam jobs resume` has fetched it. The new run is evaluated like any other.

    Example: qlam refit runs/mnist_rows --backend fake_torino --samples 1000
    """
    from qlam_qiskit.evaluation import refit
    from qlam_qiskit.progress import SampleBar
    from qlam_qiskit.runs import SavedRun

    if (samples is None) == (submission is None):
        raise click.UsageError("give either --samples or --submission")
    opened = SavedRun.open(run, data_dir)
    chosen = {
        "backend": backend,
        "backends": backends_file,
        "shots": shots,
        "seed": seed,
        "anyway": yes,
        "confirm": ask,
    }
    with SampleBar("measuring") as bar:
        result = refit(
            opened,
            samples=samples,
            submission=submission,
            mitigate=mitigate,
            out=out,
            progress=bar.progress,
            report=bar.say,
            **chosen,
        )
    if as_json:
        click.echo(json.dumps(result))
    else:
        said = [
            f"{result[f'accuracy_{when}']:.2%}"
            if "accuracy_after" in result
            else f"NRMSE {result[f'nrmse_{when}']:.4g}"
            for when in ("before", "after")
        ]
        click.echo(
            f"{result['samples']:,} training samples on {result['backend']}: {said[0]} before, "
            f"{said[1]} after (cross-validated)\n{result['run']}"
        )
