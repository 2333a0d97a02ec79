"""``qlam submit``: send an evaluation to a backend, to be fetched later."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, ask, data_dir, on_samples, yes


@click.command("submit")
@on_samples
@yes
@data_dir
@as_json
def submit_command(
    run: Path,
    backend: str | None,
    backends_file: Path | None,
    shots: int | None,
    part: str,
    limit: int | None,
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
    from qlam_qiskit.jobs import Ledger, show
    from qlam_qiskit.run import Run
    from qlam_qiskit.words import counted

    tell = lambda line: click.echo(line, err=True)  # noqa: E731
    opened = Run.open(run, data_dir)
    plan = opened.plan(backend, part=part, limit=limit, shots=shots, seed=seed, backends=backends_file)
    tell(str(plan))
    with plan.backend, Ledger() as ledger:
        (submission,) = show(ledger, plan.submit(anyway=yes, confirm=ask, report=tell).id)
    state = submission.to_json()
    if as_json:
        click.echo(json.dumps(state))
    else:
        click.echo(f"{state['submission']}: {counted(len(state['jobs']), 'job')} on {state['backend']}")
