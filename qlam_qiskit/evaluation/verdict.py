"""A plan as a person reads it: labelled lines, rounded, and a verdict in words."""

from __future__ import annotations

from collections.abc import Iterator

from qlam_qiskit.evaluation.on_device import Prepared
from qlam_qiskit.planning import Plan
from qlam_qiskit.words import counted, seconds

_FAINT = 0.1


def described(prepared: Prepared) -> Iterator[tuple[str, str]]:
    """Yield what a plan needs and what would come of it, a label and a text each; the verdict is the last."""
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
