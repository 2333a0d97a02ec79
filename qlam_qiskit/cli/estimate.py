"""``qlam estimate``: what an evaluation on a device would cost, and whether it can survive there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, backend, backends_file, data_dir, limit, part, shots


@click.command("estimate")
@click.argument("run", type=click.Path(path_type=Path))
@backend
@backends_file
@part
@limit
@shots
@data_dir
@as_json
def estimate_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    part: str,
    limit: int | None,
    shots: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Plan samples of RUN for a backend: gates, fidelity, jobs, QPU seconds. Sends nothing.

    Example: qlam estimate runs/mnist_rows --backend fake_torino --limit 1000
    """
    from qlam_qiskit.run import Run

    prepared = Run.open(run, data_dir).plan(backend, part=part, limit=limit, shots=shots, backends=backends_file)
    with prepared.backend:
        plan = {**prepared.plan.to_json(), "samples": prepared.samples}
    if as_json:
        click.echo(json.dumps(plan))
        return
    for key, value in plan.items():
        if key == "reasons":
            value = "; ".join(value) or "none"
        shown = f"{value:,}" if type(value) is int else f"{value:.4g}" if isinstance(value, float) else value
        click.echo(f"{key.replace('_', ' '):<20} {shown}")
