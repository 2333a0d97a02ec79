"""Plans what to run for logical circuits, and says beforehand what it costs and whether it can survive.

A plan is made of sampler pubs as a model gives them (measured, weights bound, inputs free) and an open
backend:

=============  ====================================================================================
backend        what is run
=============  ====================================================================================
ibm            samples side by side on disjoint chains, in as few jobs as the service's limits allow; with
               primitive: estimator, one sample per execution, as often as its options make it
fake           one sample per execution, on the chain that the device itself would run it on
aer, noisy     one sample per execution, on the best chain of the device that lends its noise
all others     one sample per execution, transpiled by the backend
=============  ====================================================================================

Simulators gain nothing from tiling, since their cost grows with every qubit; what they run is cut into jobs
of at most 100 samples, so that what is done is saved. The costs of a fake device are those of the device
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import AerSpec, FakeSpec, IBMSpec, OpenBackend, ServiceLimits, is_open, measurements
from qlam_qiskit.errors import BackendError, PlanningError
from qlam_qiskit.planning.contrast import Contrast
from qlam_qiskit.planning.cutting import Jobs, PlannedJob, local_jobs, service_jobs
from qlam_qiskit.planning.device import calibrated_at, device_behind, lifetimes_us
from qlam_qiskit.planning.estimating import estimator_jobs, lay_out_estimated
from qlam_qiskit.planning.layout import LaidOut, lay_out, lay_out_transpiled
from qlam_qiskit.planning.sequence_pub import LogicalPub, SequencePub, outline, registers
from qlam_qiskit.planning.tiling import Placement

_DEFAULT_SHOTS = 1024


@dataclass(frozen=True)
class Plan:
    """What is to be run, how to undo its layout, and its price.

    Attributes
    ----------
    backend, device, calibrated
        The entry's name, the device's, and the time of its calibration (ISO 8601; None without one).
    chains
        The chains that samples run on, in the order in which they were chosen.
    circuits, rows
        Different circuits that are sent, and the rows of parameter values that they are asked for, in all.
    two_qubit_gates, two_qubit_depth
        Of one sample's circuit (the largest one).
    duration_us
        Microseconds of one execution (the longest one).
    estimated_fidelity, fidelity_range
        Predicted from the calibration: the mean over samples, and that of the worst and the best placed. For circuits
        with resets, which forget errors, they say nothing and no bound applies to them.
    executions, job_count, payload_mb, qpu_seconds
        In all. For a fake device: as the device itself would take them.
    tiles
        Samples that one execution serves at most.
    t1_us, t2_us
        Medians over the qubits used, in microseconds; None where the device says nothing.
    allowance_s
        QPU seconds that the service has left for us; None where nothing limits them.
    contrast, no_contrast
        What the device's errors leave of the readouts' spread, where it was predicted: see :meth:`judged_by`; and of a
        memory that is judged by it, why it was not.
    fits, reasons
        Whether it may be sent, and if not, why.
    """

    backend: str
    device: str
    calibrated: str | None
    chains: tuple[tuple[int, ...], ...]
    circuits: int
    rows: int
    two_qubit_gates: int
    two_qubit_depth: int
    duration_us: float
    estimated_fidelity: float
    fidelity_range: tuple[float, float]
    executions: int
    job_count: int
    payload_mb: float
    qpu_seconds: float
    tiles: int
    t1_us: float | None
    t2_us: float | None
    allowance_s: float | None
    reasons: tuple[str, ...]
    make_run: Callable[[], tuple[Jobs, Placement]] = field(repr=False, compare=False)
    contrast: Contrast | None = None
    no_contrast: str | None = None

    @property
    def jobs(self) -> tuple[PlannedJob, ...]:
        """What to run, in order: written out when it is first asked for, which estimates do not."""
        return self._run[0].jobs

    @property
    def placement(self) -> Placement:
        """Where each sample is in the jobs."""
        return self._run[1]

    @cached_property
    def _run(self) -> tuple[Jobs, Placement]:
        return self.make_run()

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against sending it."""
        return not self.reasons

    def judged_by(self, contrast: Contrast, least: float | None) -> Plan:
        """Return the plan with its contrast, which does not fit when that is under ``least``."""
        reasons = self.reasons
        if least is not None and contrast.mean < least:
            advice = "fewer gates or steps, and larger rates of damping, leave more of it"
            said = f"the predicted contrast {contrast.mean:.3g} is under min_contrast {least:g} ({advice})"
            reasons = (said, *reasons)
        return replace(self, contrast=contrast, reasons=reasons)

    def without_contrast(self, why: str, least: float | None) -> Plan:
        """Return the plan where no contrast can be predicted, ``why``; it does not fit when ``least`` is asked for."""
        reasons = self.reasons
        if least is not None:
            reasons = (f"min_contrast is {least:g}, and no contrast can be predicted: {why}", *reasons)
        return replace(self, no_contrast=why, reasons=reasons)

    def to_json(self) -> dict[str, Any]:
        """Return the plan's figures as plain values."""
        return {
            "backend": self.backend,
            "device": self.device,
            "calibrated": self.calibrated,
            "circuits": self.circuits,
            "rows": self.rows,
            "two_qubit_gates": self.two_qubit_gates,
            "two_qubit_depth": self.two_qubit_depth,
            "duration_us": round(self.duration_us, 3),
            "t1_us": self.t1_us,
            "t2_us": self.t2_us,
            "estimated_fidelity": self.estimated_fidelity,
            "fidelity_range": list(self.fidelity_range),
            "contrast": None if self.contrast is None else asdict(self.contrast),
            "no_contrast": self.no_contrast,
            "tiles": self.tiles,
            "executions": self.executions,
            "jobs": self.job_count,
            "payload_mb": round(self.payload_mb, 3),
            "qpu_seconds": round(self.qpu_seconds, 3),
            "allowance_s": self.allowance_s,
            "fits": self.fits,
            "reasons": list(self.reasons),
        }


def make_plan(
    pubs: Sequence[LogicalPub] | Sequence[EstimatorPub], opened: OpenBackend, *, tiles: int | None = None
) -> Plan:
    """Plan how ``pubs`` run on ``opened``; nothing is sent.

    An estimator's pubs are of shape (rows, strings of Z) with circuits of the device, and one row per execution.
    ``pubs`` may have any shape, and be a memory's sequences that are not written out; shots that are None are the
    backend's. ``tiles`` bounds how many samples share an execution. What is too much comes back as ``reasons``; raises
    PlanningError for what cannot be planned at all: nothing to run, nothing measured, control flow, or a device without
    a chain that is long enough.
    """
    if any(isinstance(pub, EstimatorPub) for pub in pubs):
        laid = lay_out_estimated(pubs, opened)
        if not laid:
            raise PlanningError("there is nothing to plan: no circuits, or no samples")
        priced = estimator_jobs(laid, opened)
        return _summary(opened, pubs, laid, lambda: priced, priced)
    pubs = [_with_shots(pub, opened) for pub in pubs]
    _check(pubs)
    spec, target = opened.spec, opened.backend.target
    match spec:
        case IBMSpec():
            laid = lay_out(pubs, target, limits=spec.limits, most=tiles, min_fidelity=spec.min_fidelity or 0.0)
            priced = service_jobs(laid, opened, spec.limits, spec.max_execution_time)
        case FakeSpec():
            limits = ServiceLimits()
            laid = lay_out(pubs, target, limits=limits, most=tiles, min_fidelity=spec.min_fidelity or 0.0)
            priced = service_jobs(laid, opened, limits, None)
            return _summary(opened, pubs, laid, lambda: local_jobs(_apart(laid)), priced)
        case AerSpec(noise=str()):
            laid = lay_out(pubs, target, limits=ServiceLimits(), most=1)
            priced = local_jobs(laid)
        case _:
            laid = lay_out_transpiled(pubs, opened)
            priced = local_jobs(laid)
    return _summary(opened, pubs, laid, lambda: priced, priced)


def _apart(laid: Sequence[LaidOut]) -> list[LaidOut]:
    return [single for item in laid for single in item.apart()]


def _with_shots(pub: LogicalPub, opened: OpenBackend) -> LogicalPub:
    if pub.shots is not None:
        return pub
    shots = opened.shots or _DEFAULT_SHOTS
    if isinstance(pub, SequencePub):
        return pub.with_shots(shots)
    return SamplerPub(pub.circuit, pub.parameter_values, shots)


def _check(pubs: Sequence[LogicalPub]) -> None:
    if not any(pub.size for pub in pubs):
        raise PlanningError("there is nothing to plan: no circuits, or no samples")
    for index, pub in enumerate(pubs):
        if not measurements(outline(pub)):
            raise PlanningError(f"circuit {index} measures nothing; add measurements")


def _summary(
    opened: OpenBackend,
    pubs: Sequence[LogicalPub | EstimatorPub],
    laid: Sequence[LaidOut],
    run: Callable[[], Jobs],
    priced: Jobs,
) -> Plan:
    largest = max((item.usage for item in laid), key=lambda usage: usage.two_qubit_gates)
    fidelities = np.array([fidelity for item in laid for fidelity in item.fidelities])

    def make_run() -> tuple[Jobs, Placement]:
        jobs = run()
        return jobs, Placement(tuple(pub.shape for pub in pubs), tuple(registers(pub) for pub in pubs), jobs.tiles)

    samples = np.array([tile.rows for item in laid for tile in item.tiles])
    seconds = sum(job.qpu_seconds for job in priced.jobs)
    fidelity = float(np.average(fidelities, weights=samples))
    allowance = _allowance(opened)
    used = {qubit for item in laid for tile in item.tiles for qubit in tile.chain}
    t1, t2 = lifetimes_us(opened.backend, used)
    forgets = any(is_open(outline(pub)) for pub in pubs[:1])
    return Plan(
        backend=opened.name,
        device=device_behind(opened.backend).name,
        calibrated=calibrated_at(opened.backend),
        chains=tuple(dict.fromkeys(tile.chain for item in laid for tile in item.tiles)),
        circuits=len(laid),
        rows=sum(pub.parameter_values.size if isinstance(pub, EstimatorPub) else pub.size for pub in pubs),
        two_qubit_gates=largest.two_qubit_gates,
        two_qubit_depth=largest.two_qubit_depth,
        duration_us=1e6 * max(item.usage.duration_s for item in laid),
        estimated_fidelity=fidelity,
        fidelity_range=(float(fidelities.min()), float(fidelities.max())),
        executions=sum(job.executions for job in priced.jobs),
        job_count=len(priced.jobs),
        payload_mb=sum(job.payload_mb for job in priced.jobs),
        qpu_seconds=seconds,
        tiles=max(len(item.tiles) for item in laid),
        t1_us=t1,
        t2_us=t2,
        allowance_s=allowance,
        make_run=make_run,
        reasons=(*_objections(opened, None if forgets else fidelity, seconds, allowance), *priced.excesses),
    )


def _objections(opened: OpenBackend, fidelity: float | None, seconds: float, allowance: float | None) -> list[str]:
    most = getattr(opened.spec, "max_qpu_seconds", None)
    least = getattr(opened.spec, "min_fidelity", None)
    objections = []
    if least is not None and fidelity is not None and fidelity < least:
        objections.append(f"the predicted fidelity {fidelity:.3g} is under min_fidelity {least:g}")
    if most is not None and seconds > most:
        objections.append(f"{seconds:,.0f} s of QPU time are above max_qpu_seconds {most:g}")
    if allowance is not None and seconds > allowance:
        objections.append(f"{seconds:,.0f} s of QPU time are above the allowance left, {allowance:,.0f} s")
    return objections


def _allowance(opened: OpenBackend) -> float | None:
    try:
        return opened.allowance_s()
    except BackendError:
        # Planning goes on without it; sending asks the service again.
        return None
