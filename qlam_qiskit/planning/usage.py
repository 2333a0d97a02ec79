"""What a circuit on a chain spends: gates, measurements, and time, also of a part that is repeated very often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.transpiler import Target

from qlam_qiskit.backends import RESETS, final_measurements

Floats = NDArray[np.float64]
Operation: TypeAlias = tuple[str, tuple[int, ...], bool]
"""An operation's name, its qubits, and whether it is a last measurement."""

# Times that differ by less are the same, and were added up in another order.
_SAME_S = 1e-15


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
    entangling = dict.fromkeys(two_qubit_names(target)[:1], ones[1:])
    return Usage({}, entangling, ones, np.zeros(num_qubits), 0.0, 1)


def usage_of(circuit: QuantumCircuit, target: Target, chain: Sequence[int] | None = None) -> Usage:
    """Count what ``circuit`` uses; see :class:`Stopwatch`."""
    place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    final = set(final_measurements(circuit))
    watch = Stopwatch(circuit.num_qubits, target, chain)
    watch.take(
        [
            (instruction.name, tuple([place[qubit] for qubit in instruction.qubits]), position in final)
            for position, instruction in enumerate(circuit.data)
        ]
    )
    return watch.usage()


class Stopwatch:
    """Counts operations and times them, each run as early as it can be.

    Gates take as long as on the qubits of ``chain``; without one, as long as they typically do on the device.
    Measurements and resets within the circuit take their time as gates do; the last measurements are made together.
    """

    def __init__(self, num_qubits: int, target: Target, chain: Sequence[int] | None = None) -> None:
        self._target, self._chain = target, chain
        self._counts: dict[tuple[str, tuple[int, ...]], int] = defaultdict(int)
        self._durations: dict[tuple[str, tuple[int, ...]], float] = {}
        # Plain lists: circuits have tens of thousands of gates, of which numpy would take each for a calculation.
        self._clock, self._busy = [0.0] * num_qubits, [0.0] * num_qubits
        self._started, self._layers, self._readout = [-1.0] * num_qubits, [0] * num_qubits, 0.0

    def take(self, operations: Sequence[Operation], *, repeat: int = 1) -> None:
        """Go through operations, one after another, ``repeat`` times.

        Once a repetition has put off all qubits by the same time and the same layers, every other one will.
        """
        for name, qubits, _ in operations:
            if name != "barrier":
                self._counts[name, qubits] += repeat
        for done in range(1, repeat + 1):
            before = np.array([self._clock, self._layers, self._busy])
            self._pass(operations)
            later, deeper, busier = np.array([self._clock, self._layers, self._busy]) - before
            alike = np.ptp(later) < _SAME_S and np.ptp(deeper) == 0 and min(self._started) >= 0
            if alike and (left := repeat - done):
                self._clock = (self._clock + left * later).tolist()
                self._layers = (self._layers + left * deeper.astype(int)).tolist()
                self._busy = (self._busy + left * busier).tolist()
                return

    def _pass(self, operations: Sequence[Operation]) -> None:
        clock, busy, started, layers, durations = self._clock, self._busy, self._started, self._layers, self._durations
        for name, qubits, final in operations:
            if name == "barrier":
                continue
            if (name, qubits) not in durations:
                durations[name, qubits] = self._seconds(name, qubits)
            duration = durations[name, qubits]
            if final:
                self._readout = max(self._readout, duration)
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

    def usage(self) -> Usage:
        """Return what was taken so far, as a circuit."""
        end = max(self._clock, default=0.0)
        idle = [
            max(0.0, end - first - used) if first >= 0 else 0.0
            for first, used in zip(self._started, self._busy, strict=True)
        ]
        gates, entangling, measured = _sorted_counts(self._counts, len(self._clock))
        return Usage(
            gates, entangling, measured, np.array(idle), float(end + self._readout), max(self._layers, default=0)
        )

    def _seconds(self, name: str, qubits: tuple[int, ...]) -> float:
        """Return how long an operation takes on the chain, or its median over the device; 0 where nothing is known."""
        placed = self._target.get(name, {})
        if self._chain is not None:
            where = tuple(self._chain[k] for k in qubits)
            properties = placed.get(where) or placed.get(where[::-1])
            return getattr(properties, "duration", None) or 0.0
        known = [each.duration for each in placed.values() if each and each.duration is not None]
        return float(np.median(known)) if known else 0.0


def two_qubit_names(target: Target) -> list[str]:
    """Name a target's two-qubit gates."""
    return [name for name in target.operation_names if getattr(target.operation_from_name(name), "num_qubits", 0) == 2]


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
