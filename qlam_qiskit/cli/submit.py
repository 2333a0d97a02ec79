"""``qlam submit``: send an evaluation to a backend, to be fetched later."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, ask, backend, backends_file, data_dir, limit, part, sample_seed, shots, yes


@click.command("submit")
@click.argument("run", type=click.Path(path_type=Path))
@backend
@backends_file
@part
@limit
@shots
@sample_seed
@yes
@data_dir
@as_json
def submit_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    part: str,
    limit: int | None,
    shots: int | None,
    seed: int | None,
    yes: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Plan samples of RUN, record the jobs in the ledger, and send them.

    qlam jobs fetch gets the results, from any process; qlam evaluate RUN --submission ID scores them, and of training
    samples qlam refit RUN --submission ID makes a new run.

    Example: qlam submit runs/mnist_rows --backend fake_torino --limit 100
    """
    from qlam_qiskit.backends import load_registry
    from qlam_qiskit.evaluation.on_device import prepare, send, summary
    from qlam_qiskit.jobs import Ledger
    from qlam_qiskit.words import counted

    spec = load_registry(backends_file).spec(backend)
    prepared = prepare(run, spec, part=part, limit=limit, shots=shots, seed=seed, data_dir=data_dir)
    click.echo(summary(prepared), err=True)
    with prepared.backend, Ledger() as ledger:
        submission = send(prepared, ledger, anyway=yes, confirm=ask, report=lambda line: click.echo(line, err=True))
    state = submission.to_json()
    if as_json:
        click.echo(json.dumps(state))
    else:
        click.echo(f"{state['submission']}: {counted(len(state['jobs']), 'job')} on {state['backend']}")
