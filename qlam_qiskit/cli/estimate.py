"""``qlam estimate``: what an evaluation on a device would cost, and whether it can survive there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, backend, backends_file, data_dir, limit, part, run, shots
from qlam_qiskit.cli.tables import print_described


@click.command("estimate")
@run
@backend
@backends_file
@part
@limit
@shots
@data_dir
@as_json
@click.pass_context
def estimate_command(
    context: click.Context,
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    part: str,
    limit: int | None,
    shots: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Plan samples of RUN for a backend: gates, fidelity, jobs, QPU time. Sends nothing.

    Exit status 1 when it does not fit: over max_qpu_seconds or the allowance, under min_fidelity or min_contrast, or
    more than a job can hold.

    Example: qlam estimate runs/mnist_rows --backend fake_torino --limit 1000
    """
    from qlam_qiskit.evaluation import described
    from qlam_qiskit.run import Run

    prepared = Run.open(run, data_dir).plan(backend, part=part, limit=limit, shots=shots, backends=backends_file)
    with prepared.backend:
        per_sample = {"samples": prepared.samples, "circuits_per_sample": prepared.circuits_per_sample}
        plan = {**prepared.plan.to_json(), **per_sample}
    if as_json:
        click.echo(json.dumps(plan))
        context.exit(0 if prepared.plan.fits else 1)
    print_described(described(prepared), 19)
    context.exit(0 if prepared.plan.fits else 1)
