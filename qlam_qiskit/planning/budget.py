"""What a chain circuit spends, and what of it survives on given qubits: the error budget behind plans and chains.

The fidelity predicted is the chance that nothing goes wrong: (1 - error) for every gate and every measurement, from
the calibration, times what idle qubits keep under T1 and T2. Crosstalk and drift are in no calibration: it is a best
case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

Floats = NDArray[np.float64]

# A gate or a readout at least as bad as this is broken: calibrations write 1 for what they could not measure.
BROKEN = 0.5


@dataclass(frozen=True)
class Usage:
    """What a circuit on a chain of n qubits uses, by position on the chain.

    Attributes
    ----------
    gates
        Counts of one-qubit gates, shape (n,), by gate name.
    entangling
        Counts of two-qubit gates, shape (n - 1,): position k is the edge between qubits k and k + 1.
    measured
        Counts of measurements, shape (n,).
    idle_s
        Seconds that each qubit waits between its first gate and the measurement, shape (n,).
    duration_s
        Seconds from the first gate to the end of the measurement.
    two_qubit_depth
        Layers of two-qubit gates.
    """

    gates: Mapping[str, NDArray[np.int64]]
    entangling: Mapping[str, NDArray[np.int64]]
    measured: NDArray[np.int64]
    idle_s: Floats
    duration_s: float
    two_qubit_depth: int

    @property
    def num_qubits(self) -> int:
        """Length of the chain."""
        return len(self.measured)

    @property
    def two_qubit_gates(self) -> int:
        """Two-qubit gates of the whole circuit."""
        return int(sum(counts.sum() for counts in self.entangling.values()))


def typical_usage(num_qubits: int, target: Target) -> Usage:
    """Return the usage of one layer: what chains are scored by before any circuit was written for one."""
    ones = np.ones(num_qubits, dtype=np.int64)
    entangling = dict.fromkeys(_two_qubit_names(target)[:1], ones[1:])
    return Usage({}, entangling, ones, np.zeros(num_qubits), 0.0, 1)


def usage_of(circuit: QuantumCircuit, target: Target, chain: Sequence[int] | None = None) -> Usage:
    """Count what ``circuit`` uses, each gate run as early as it can be.

    Gates take as long as on the qubits of ``chain``; without one, as long as they typically do on the device.
    """
    n = circuit.num_qubits
    gates: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(n, dtype=np.int64))
    entangling: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(max(n - 1, 0), dtype=np.int64))
    measured = np.zeros(n, dtype=np.int64)
    durations: dict[tuple[str, tuple[int, ...] | None], float] = {}
    clock, busy, started, readout = np.zeros(n), np.zeros(n), np.full(n, np.nan), 0.0
    for instruction in circuit.data:
        name = instruction.operation.name
        if name == "barrier":
            continue
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        key = (name, None if chain is None else tuple(chain[qubit] for qubit in qubits))
        if key not in durations:
            durations[key] = _duration(target, *key)
        duration = durations[key]
        if name == "measure":
            measured[qubits] += 1
            readout = max(readout, duration)
            continue
        begins = clock[qubits].max()
        clock[qubits] = begins + duration
        busy[qubits] += duration
        started[qubits] = np.fmin(started[qubits], begins)
        if len(qubits) == 2:
            entangling[name][min(qubits)] += 1
        else:
            gates[name][qubits] += 1
    end = clock.max(initial=0.0)
    idle = np.where(np.isnan(started), 0.0, end - np.nan_to_num(started) - busy)
    depth = circuit.depth(lambda instruction: len(instruction.qubits) == 2 and instruction.name != "barrier")
    return Usage(dict(gates), dict(entangling), measured, np.maximum(idle, 0.0), float(end + readout), depth)


def fidelity_of(circuit: QuantumCircuit, target: Target) -> float:
    """Return the fidelity predicted for a circuit in the device's gates, anywhere on it, idle qubits left out."""
    kept = 1.0
    for instruction in circuit.data:
        name = instruction.operation.name
        qubits = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        properties = target.get(name, {}).get(qubits)
        kept *= 1.0 - min(1.0, getattr(properties, "error", None) or 0.0)
    return kept


def qubit_losses(usage: Usage, target: Target) -> Floats:
    """Return -log of what qubit q keeps at position k of the chain, shape (n, device qubits); inf where broken."""
    n, width = usage.num_qubits, target.num_qubits
    losses = np.zeros((n, width))
    for name, counts in {**usage.gates, "measure": usage.measured}.items():
        # What is broken is to be avoided even where it is not used; 0 times infinity would say nothing.
        loss = _loss(_errors_of_qubits(target, name))
        losses += np.where(np.isinf(loss), np.inf, np.outer(counts, np.nan_to_num(loss, posinf=0.0)))
    t1, t2 = _lifetimes(target)
    idle = usage.idle_s[:, None]
    kept = (1 + np.exp(-idle / t1) + 2 * np.exp(-idle / t2)) / 4
    return losses - np.log(kept)


def edge_losses(usage: Usage, target: Target) -> Floats:
    """Return -log of what edge (a, b) keeps at position k, shape (n - 1, qubits, qubits); inf where there is none."""
    width = target.num_qubits
    losses = np.zeros((max(usage.num_qubits - 1, 0), width, width))
    # An edge that the circuit does not use must still exist for the chain to be one.
    for name in usage.entangling or _two_qubit_names(target)[:1]:
        error = np.full((width, width), np.nan)
        for (a, b), properties in target[name].items():
            known = 0.0 if properties is None or properties.error is None else properties.error
            error[a, b] = error[b, a] = np.fmax(known, np.nan_to_num(error[a, b]))
        counts = usage.entangling.get(name, np.zeros(len(losses)))
        loss = _loss(error)
        losses += np.where(np.isinf(loss), np.inf, counts[:, None, None] * np.nan_to_num(loss, posinf=0.0))
    return losses


def _errors_of_qubits(target: Target, name: str) -> Floats:
    errors = np.full(target.num_qubits, np.nan)
    for qubits, properties in target[name].items():
        errors[qubits[0]] = 0.0 if properties is None or properties.error is None else properties.error
    return errors


def _loss(errors: Floats) -> Floats:
    """Turn errors into -log(1 - error); what is broken, or not there, is infinitely bad."""
    with np.errstate(invalid="ignore"):
        return np.where(errors < BROKEN, -np.log1p(-np.minimum(errors, BROKEN)), np.inf)


def _lifetimes(target: Target) -> tuple[Floats, Floats]:
    properties = target.qubit_properties or [None] * target.num_qubits
    t1 = np.array([getattr(entry, "t1", None) or np.inf for entry in properties], dtype=float)
    t2 = np.array([getattr(entry, "t2", None) or np.inf for entry in properties], dtype=float)
    return t1, np.minimum(t2, 2 * t1)


def _two_qubit_names(target: Target) -> list[str]:
    return [name for name in target.operation_names if getattr(target.operation_from_name(name), "num_qubits", 0) == 2]


def _duration(target: Target, name: str, qubits: tuple[int, ...] | None) -> float:
    """Return the seconds that a gate takes on ``qubits``, or its median over the device; 0 where nothing is known."""
    placed = target.get(name, {})
    if qubits is not None:
        properties = placed.get(qubits) or placed.get(qubits[::-1])
        return getattr(properties, "duration", None) or 0.0
    known = [properties.duration for properties in placed.values() if properties and properties.duration is not None]
    return float(np.median(known)) if known else 0.0
