"""``qlam estimate``: what an evaluation on a device would cost, and whether it can survive there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qlam_qiskit.cli.options import as_json, backend, backends_file, data_dir, limit, part, run, shots


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
        plan = {**prepared.plan.to_json(), "samples": prepared.samples, "circuits_per_sample": prepared.circuits_per_sample}
    if as_json:
        click.echo(json.dumps(plan))
        context.exit(0 if prepared.plan.fits else 1)
    for label, value in described(prepared):
        click.echo(f"{label:<18} {value}")
    context.exit(0 if prepared.plan.fits else 1)
<<<<<<< HEAD


def _described(prepared: Prepared) -> Iterator[tuple[str, str]]:
    """Yield the plan as a person reads it, rounded, and a verdict."""
    plan, free = prepared.plan, prepared.plan.qpu_seconds == 0
    yield "samples", f"{prepared.samples:,}"
    yield "device", plan.device if plan.device == plan.backend else f"{plan.device} (backend {plan.backend})"
    if plan.calibrated:
        yield "calibrated", plan.calibrated.replace("T", " ")[:16]
    yield "circuits", f"{prepared.circuits_per_sample:,.6g} for each sample: {prepared.readings}"
    yield "longest circuit", f"{plan.two_qubit_gates:,} two-qubit gates, depth {plan.two_qubit_depth:,}"
    if plan.duration_us:
        lives = "" if None in (plan.t1_us, plan.t2_us) else f" (T1 {plan.t1_us:.0f}, T2 {plan.t2_us:.0f} us)"
        yield "duration", f"{plan.duration_us:.1f} us{lives}"
    if plan.no_contrast is not None:
        yield "contrast", f"cannot be predicted: {plan.no_contrast}"
    elif plan.contrast is None:
        yield "fidelity", f"{plan.estimated_fidelity:.2f}{_range(*plan.fidelity_range)}"
    else:
        seen = plan.contrast
        yield "contrast", f"{seen.mean:.2f}{_range(seen.worst, seen.best)} of what it is without errors"
        yield "shots needed", f"{seen.shots:,} to see it; {prepared.backend.shots:,} are asked for"
    tiles = f", {plan.tiles} samples side by side" if plan.tiles > 1 else ""
    yield "executions", f"{plan.executions:,} in {counted(plan.job_count, 'job')}{tiles}"
    yield "payload", f"{plan.payload_mb:.1f} MB"
    left = "" if plan.allowance_s is None else f" of {seconds(plan.allowance_s)} left"
    here = " on the device itself; none here" if prepared.backend.spec.kind == "fake" else ""
    yield "QPU time", "none: it runs on this machine" if free else f"{seconds(plan.qpu_seconds)}{left}{here}"
    yield "verdict", _verdict(plan, prepared.backend.shots)


def _range(worst: float, best: float) -> str:
    return "" if round(worst, 2) == round(best, 2) else f" ({worst:.2f} to {best:.2f})"


def _verdict(plan: Plan, shots: int | None) -> str:
    if not plan.fits:
        return f"does not fit: {'; '.join(plan.reasons)}"
    if plan.contrast is not None:
        if plan.contrast.mean < _FAINT:
            return f"fits, but hardly any signal would survive (contrast {plan.contrast.mean:.2f})"
        if shots is not None and shots < plan.contrast.shots:
            return f"fits, but {shots:,} shots are few: readouts would scatter more than half as far as samples differ"
        return "fits"
    if plan.no_contrast is not None:
        return "fits, but what survives is unknown"
    if plan.estimated_fidelity < _FAINT:
        return f"fits, but hardly any signal would survive (fidelity {plan.estimated_fidelity:.2f})"
    return "fits"
=======
>>>>>>> main
