"""Splits planned circuits into jobs by the service's limits, and prices the jobs.

The price is the service's documented formula: 2 seconds for a job, and for every execution the delay between
executions and the circuit's own length. The service's bill comes afterwards, in the job's metrics.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import FASTER, ServiceLimits
from qlam_qiskit.planning.tiling import Tiling
from qlam_qiskit.planning.usage import Usage

# Control-system instructions that the service counts for each instruction of a circuit.
_CONTROL_INSTRUCTIONS = {"barrier": 0, "rz": 1, "delay": 1, "sx": 2, "x": 2, "rx": 2, "measure": 10, "reset": 17}
_CONTROL_INSTRUCTIONS |= {FASTER[name]: _CONTROL_INSTRUCTIONS[name] for name in FASTER}
_CONTROL_OF_TWO_QUBITS = 5
_CONTROL_AT_START = 50

_SECONDS_OF_A_JOB = 2.0
_QUICK_SECONDS_OF_AN_EXECUTION = 0.00035
_DEFAULT_PRECISION = 0.015625
# Values of which the encoded size is measured at most; that of others is the same, for it is noise to a compressor.
_MEASURED_VALUES = 1 << 18
# Steps of two shorter circuits, from whose encoded sizes that of longer ones follows.
_MEASURED_STEPS = (6, 18)


@dataclass(frozen=True)
class Demand:
    """What one pub asks of a job: once for its circuit, and again for each execution (row of values).

    ``payload_mb`` and ``row_payload_mb`` are megabytes as sent, ``row_seconds`` seconds of QPU time for all shots of a
    row, and ``row_instructions`` control-system instructions on the busiest qubit.
    """

    shots: int
    rows: int
    payload_mb: float
    row_payload_mb: float
    row_seconds: float
    row_instructions: int
    row_parameters: int

    def of_row(self) -> dict[str, float]:
        """Return what a row takes of each limit."""
        return {
            "executions": self.shots,
            "payload_mb": self.row_payload_mb,
            "seconds": self.row_seconds,
            "instructions": self.row_instructions,
            "parameters": self.row_parameters,
        }

    def of_single(self, name: str) -> float:
        """Return what the circuit with one row takes of the limit ``name``."""
        return self.of_row()[name] + (self.payload_mb if name == "payload_mb" else 0.0)


@dataclass(frozen=True)
class Share:
    """Rows ``first`` to ``last`` - 1 of pub ``pub``, as part of a job."""

    pub: int
    first: int
    last: int


def demand_of(pub: SamplerPub, duration_s: float, rep_delay_s: float, usages: Sequence[Usage] = ()) -> Demand:
    """Measure what ``pub`` asks for, its payload by encoding it as the service's client does.

    ``usages`` are those of the circuit's disjoint parts, where they are known.
    """
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    return Demand(
        shots=pub.shots,
        rows=pub.size,
        payload_mb=_encoded_mb(pub.circuit),
        row_payload_mb=_row_mb(values.reshape(pub.size, -1)),
        row_seconds=pub.shots * (rep_delay_s + duration_s),
        row_instructions=_control_of_usages(usages) if usages else _control_instructions(pub.circuit),
        row_parameters=values.shape[-1],
    )


def demand_of_tiles(tiling: Tiling, usages: Sequence[Usage]) -> Demand:
    """Measure what tiles ask for, but for their time, without writing out long sequences."""
    width = tiling.num_angles
    measured = tiling.values(min(tiling.executions, _measured_rows(width)))
    return Demand(
        shots=tiling.shots,
        rows=tiling.executions,
        payload_mb=_tiles_mb(tiling),
        row_payload_mb=_row_mb(measured),
        row_seconds=0.0,
        row_instructions=_control_of_usages(usages),
        row_parameters=width,
    )


def excess_of(demand: Demand, limits: ServiceLimits) -> float:
    """Return by what factor one row exceeds what a job can hold of it; fewer tiles make it smaller."""
    return max(demand.of_single("payload_mb") / limits.payload_mb, demand.row_parameters / limits.parameters)


def job_seconds(shares: Sequence[Share], demands: Sequence[Demand]) -> float:
    """Return the QPU seconds of one job by the documented formula."""
    return _SECONDS_OF_A_JOB + sum((share.last - share.first) * demands[share.pub].row_seconds for share in shares)


def quick_seconds(pubs: Sequence[SamplerPub | EstimatorPub]) -> float:
    """Return the QPU seconds of one job by the service's quick formula, which knows only its executions.

    An estimator's executions are those that its precision takes without mitigation.
    """
    executions = 0.0
    for pub in pubs:
        precise = _DEFAULT_PRECISION if getattr(pub, "precision", None) is None else pub.precision
        executions += pub.size * (pub.shots if isinstance(pub, SamplerPub) else 1 / precise**2)
    return _SECONDS_OF_A_JOB + _QUICK_SECONDS_OF_AN_EXECUTION * executions


def job_payload_mb(shares: Sequence[Share], demands: Sequence[Demand]) -> float:
    """Return the size of one job as sent, megabytes."""
    return sum(
        demands[share.pub].payload_mb + (share.last - share.first) * demands[share.pub].row_payload_mb
        for share in shares
    )


def split_into_jobs(
    demands: Sequence[Demand], limits: ServiceLimits, max_seconds: float | None = None
) -> tuple[list[list[Share]], list[str]]:
    """Fill jobs one after the other, each as far as the limits allow; also say what no job can hold.

    ``max_seconds`` is the caller's own bound on a job's QPU time. A job's pubs all have the same shots, as the service
    asks. What exceeds a limit in a single execution gets a job of its own, and a sentence in the second list.
    """
    bounds = _bounds(limits, max_seconds)
    jobs: list[list[Share]] = []
    excesses: list[str] = []
    left: dict[str, float] = {}
    for number, demand in enumerate(demands):
        per_row = demand.of_row()
        for name, (bound, what) in bounds.items():
            if (single := demand.of_single(name)) > bound:
                excesses.append(f"circuit {number}: one row takes {single:,.4g} {what}, and a job {bound:,.4g} at most")
        first = 0
        while first < demand.rows:
            fits = _rows_that_fit(per_row, left, demand.payload_mb)
            new_shots = bool(jobs) and demands[jobs[-1][-1].pub].shots != demand.shots
            if not jobs or new_shots or fits < 1:
                jobs.append([])
                left = {name: bound for name, (bound, _) in bounds.items()}
                fits = max(1, _rows_that_fit(per_row, left, demand.payload_mb))
            last = min(demand.rows, first + fits)
            jobs[-1].append(Share(number, first, last))
            left["payload_mb"] -= demand.payload_mb
            for name, used in per_row.items():
                left[name] -= used * (last - first)
            first = last
    return jobs, excesses


def _bounds(limits: ServiceLimits, max_seconds: float | None) -> dict[str, tuple[float, str]]:
    seconds = max(0.0, min(limits.job_seconds, max_seconds or limits.job_seconds) - _SECONDS_OF_A_JOB)
    return {
        "executions": (limits.executions, "executions"),
        "payload_mb": (limits.payload_mb, "MB"),
        "seconds": (seconds, "s of QPU time"),
        "instructions": (limits.control_instructions, "control instructions on a qubit"),
        "parameters": (limits.parameters, "parameter values"),
    }


def _rows_that_fit(per_row: dict[str, float], left: dict[str, float], payload_mb: float) -> int:
    rooms = [
        (left.get(name, 0.0) - (payload_mb if name == "payload_mb" else 0.0)) / used
        for name, used in per_row.items()
        if used > 0
    ]
    return int(max(0.0, min(rooms, default=0.0)))


def _control_instructions(circuit: QuantumCircuit) -> int:
    counts = dict.fromkeys(circuit.qubits, 0)
    for instruction in circuit.data:
        qubits = instruction.qubits
        cost = _CONTROL_INSTRUCTIONS.get(instruction.operation.name, _CONTROL_OF_TWO_QUBITS if len(qubits) > 1 else 2)
        for qubit in qubits:
            counts[qubit] += cost
    return max(counts.values(), default=0) + _CONTROL_AT_START


def _control_of_usages(usages: Sequence[Usage]) -> int:
    return max(int(_control_of_usage(usage).max(initial=0)) for usage in usages) + _CONTROL_AT_START


def _control_of_usage(usage: Usage) -> np.ndarray:
    """Count control instructions of each qubit."""
    counts = usage.measured * _CONTROL_INSTRUCTIONS["measure"]
    for name, of_qubits in usage.gates.items():
        counts = counts + of_qubits * _CONTROL_INSTRUCTIONS.get(name, 2)
    for of_edges in usage.entangling.values():
        counts[:-1] += of_edges * _CONTROL_OF_TWO_QUBITS
        counts[1:] += of_edges * _CONTROL_OF_TWO_QUBITS
    return counts


def _encoded_mb(circuit: QuantumCircuit) -> float:
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer)
    return len(base64.b64encode(zlib.compress(buffer.getvalue()))) / 1e6


def _tiles_mb(tiling: Tiling) -> float:
    """Return the size of a tiled circuit as sent; it grows steadily with the steps of long sequences."""
    if max(tiling.steps, default=0) <= _MEASURED_STEPS[1]:
        return _encoded_mb(tiling.circuit())
    few, many = (_encoded_mb(tiling.circuit(most)) for most in _MEASURED_STEPS)
    steps, of_few, of_many = (
        sum(min(each, most) for each in tiling.steps) for most in (max(tiling.steps), *_MEASURED_STEPS)
    )
    return many + (steps - of_many) * (many - few) / (of_many - of_few)


def _measured_rows(width: int) -> int:
    return max(1, _MEASURED_VALUES // max(1, width))


def _row_mb(values: np.ndarray) -> float:
    """Return the size of a row of values as sent; of very many values the first rows are measured."""
    measured = values[: _measured_rows(values.shape[-1])]
    return _array_mb(measured) / max(len(measured), 1)


def _array_mb(values: np.ndarray) -> float:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return len(base64.b64encode(zlib.compress(buffer.getvalue()))) / 1e6
