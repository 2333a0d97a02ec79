"""What a chain circuit spends, and what of it survives on given qubits: the error budget behind plans and chains.

The fidelity predicted is the chance that nothing goes wrong: (1 - error) for every gate and every measurement, from
the calibration, times what idle qubits keep under T1 and T2. Crosstalk and drift are in no calibration: it is a best
case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qlam_qiskit.backends import RESETS, final_measurements

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
        Counts of measurements by ``measure``, shape (n,); those by ``measure_2`` are among the gates.
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

    @property
    def resets(self) -> int:
        """Resets of the qubit that is reset most often."""
        return int(max((counts.max() for name, counts in self.gates.items() if name in RESETS), default=0))

    def part(self, share: float) -> Usage:
        """Return the usage of a part of the circuit, from 0 to 1, and of all its last measurements."""
        gates = {name: counts * share for name, counts in self.gates.items()}
        entangling = {name: counts * share for name, counts in self.entangling.items()}
        return replace(self, gates=gates, entangling=entangling, idle_s=self.idle_s * share)


def typical_usage(num_qubits: int, target: Target) -> Usage:
    """Return the usage of one layer: what chains are scored by before any circuit was written for one."""
    ones = np.ones(num_qubits, dtype=np.int64)
    entangling = dict.fromkeys(_two_qubit_names(target)[:1], ones[1:])
    return Usage({}, entangling, ones, np.zeros(num_qubits), 0.0, 1)


def usage_of(circuit: QuantumCircuit, target: Target, chain: Sequence[int] | None = None) -> Usage:
    """Count what ``circuit`` uses, each gate run as early as it can be.

    Gates take as long as on the qubits of ``chain``; without one, as long as they typically do on the device.
    Measurements and resets within the circuit take their time as gates do; the last measurements are made together.
    """
    n = circuit.num_qubits
    place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    final = set(final_measurements(circuit))
    counts: dict[tuple[str, tuple[int, ...]], int] = defaultdict(int)
    durations: dict[tuple[str, tuple[int, ...]], float] = {}
    clock, busy, started, layers, readout = [0.0] * n, [0.0] * n, [-1.0] * n, [0] * n, 0.0
    # Plain lists: circuits have tens of thousands of gates, of which numpy would take each for a calculation.
    for position, instruction in enumerate(circuit.data):
        name = instruction.name
        if name == "barrier":
            continue
        qubits = tuple([place[qubit] for qubit in instruction.qubits])
        key = (name, qubits)
        counts[key] += 1
        if key not in durations:
            durations[key] = _duration(target, name, None if chain is None else tuple(chain[k] for k in qubits))
        duration = durations[key]
        if position in final:
            readout = max(readout, duration)
            continue
        begins = clock[qubits[0]]
        if len(qubits) > 1:
            begins = max([clock[qubit] for qubit in qubits])
            depth = max([layers[qubit] for qubit in qubits]) + (len(qubits) == 2)
            for qubit in qubits:
                layers[qubit] = depth
        for qubit in qubits:
            clock[qubit] = begins + duration
            busy[qubit] += duration
            if started[qubit] < 0:
                started[qubit] = begins
    end = max(clock, default=0.0)
    idle = [max(0.0, end - first - used) if first >= 0 else 0.0 for first, used in zip(started, busy, strict=True)]
    return Usage(*_sorted_counts(counts, n), np.array(idle), float(end + readout), max(layers, default=0))


def _sorted_counts(
    counts: Mapping[tuple[str, tuple[int, ...]], int], n: int
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Sort counts of operations into gates, entangling gates and measurements."""
    gates: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(n, dtype=np.int64))
    entangling: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(max(n - 1, 0), dtype=np.int64))
    measured = np.zeros(n, dtype=np.int64)
    for (name, qubits), count in counts.items():
        if name == "measure":
            measured[list(qubits)] += count
        elif len(qubits) == 2:
            entangling[name][min(qubits)] += count
        else:
            gates[name][list(qubits)] += count
    return dict(gates), dict(entangling), measured


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


def survival(usage: Usage, target: Target, chain: Sequence[int]) -> float:
    """Return the fidelity predicted for a circuit of that usage on a chain."""
    qubits = qubit_losses(usage, target)[np.arange(len(chain)), list(chain)].sum()
    edges = edge_losses(usage, target)
    return float(np.exp(-qubits - sum(edges[k, a, b] for k, (a, b) in enumerate(pairwise(chain)))))


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
