"""Expectation values of Pauli sums after any circuit, and their gradients, by the exact engine.

The circuit is a memory of one step whose parameters are all inputs. Pauli strings that can be read in one basis are
read by one query: RZ and RY turn each qubit until the X, Y or Z that is read on it is Z, and the strings' expectation
values are then the Walsh-Hadamard transform of the probabilities of the bitstrings. Backward, the transform of the
coefficients is the cotangent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from qiskit.circuit import Barrier, Delay, Gate, Measure, QuantumCircuit, Qubit, Reset
from qiskit.primitives.containers.observables_array import ObservableLike, ObservablesArray
from qiskit.quantum_info import PauliList, SparseObservable, SparsePauliOp

from qlam_qiskit.engine import MAX_QUBITS, PRECISIONS, WIDE, ExactEngine
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit

PauliSum = tuple[tuple[str, float], ...]
_NUMBERS_AT_ONCE = 1 << 23  # probabilities held at once


def pauli_sum(observable: ObservableLike | SparseObservable) -> PauliSum:
    """Write an observable as real multiples of Pauli labels; raises ValueError where Qiskit's estimators do."""
    terms = SparsePauliOp.from_sparse_observable(ObservablesArray.coerce_observable(observable))
    return tuple(zip(terms.paulis.to_labels(), terms.coeffs.real.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class PauliReadout:
    """K Pauli sums, or parts of them, as read from n qubits in G bases.

    ``angles`` (G, 2n) are the queries', in radians. Each of M strings is read in the basis ``bases[m]`` as the Z string
    on the qubits ``masks[m]``; the sums are ``coefficients`` (K, M) times the strings.
    """

    angles: np.ndarray
    bases: np.ndarray
    masks: np.ndarray
    coefficients: np.ndarray

    def values(self, strings: np.ndarray) -> np.ndarray:
        """Return the K sums, given the expectation values of all Z strings in every basis (G, D)."""
        return self.coefficients @ strings[self.bases, self.masks]

    def diagonals(self) -> np.ndarray:
        """Return the first sum as a diagonal observable in every basis: (G, D)."""
        table = np.zeros((len(self.angles), 1 << self.angles.shape[1] // 2))
        np.add.at(table, (self.bases, self.masks), self.coefficients[0])
        return _walsh_hadamard(table)

    def part(self, first: int, last: int) -> PauliReadout:
        """Return what is read in the bases from ``first`` to before ``last``."""
        mine = (first <= self.bases) & (self.bases < last)
        return PauliReadout(
            self.angles[first:last], self.bases[mine] - first, self.masks[mine], self.coefficients[:, mine]
        )


@lru_cache(maxsize=128)
def plan_readouts(sums: tuple[PauliSum, ...], qubits: tuple[int, ...]) -> tuple[PauliReadout, ...]:
    """Plan how to read Pauli sums from the listed qubits, all others being in the state 0.

    The values of the readouts returned add up; each has as many bases as fit into memory at once.
    """
    labels = {label: m for m, label in enumerate(dict.fromkeys(label for terms in sums for label, _ in terms))}
    coefficients = np.zeros((len(sums), len(labels)))
    for k, terms in enumerate(sums):
        for label, coefficient in terms:
            coefficients[k, labels[label]] += coefficient
    paulis = PauliList(list(labels))
    idle = np.setdiff1d(np.arange(paulis.num_qubits), qubits)
    seen = ~paulis.x[:, idle].any(axis=1)  # of a qubit in the state 0, <X> and <Y> are 0 and <Z> is 1
    x, z = paulis.x[seen][:, qubits], paulis.z[seen][:, qubits]
    paulis = PauliList.from_symplectic(z, x)
    groups = paulis.group_qubit_wise_commuting() if seen.any() else [PauliList("I" * len(qubits))]
    basis_of = {label: basis for basis, group in enumerate(groups) for label in group.to_labels()}
    angles = np.zeros((len(groups), len(qubits), 2))
    for basis, group in enumerate(groups):
        angles[basis, :, 0] = np.where((group.x & group.z).any(axis=0), -np.pi / 2, 0.0)
        angles[basis, :, 1] = np.where(group.x.any(axis=0), -np.pi / 2, 0.0)
    readout = PauliReadout(
        angles=angles.reshape(len(groups), -1),
        bases=np.array([basis_of[label] for label in paulis.to_labels()], np.int64),
        masks=(x | z) @ (1 << np.arange(len(qubits))),
        coefficients=coefficients[:, seen],
    )
    at_once = max(1, _NUMBERS_AT_ONCE // (WIDE << len(qubits)))
    return tuple(readout.part(first, first + at_once) for first in range(0, len(groups), at_once))


class ExpectationCircuit:
    """A circuit compiled for expectation values; ``qubits`` lists those that gates act on, the others are left out.

    Resets and ``initialize`` of qubits that nothing has touched are the start state, or prepared by gates; measurements
    that nothing follows on their qubits are left out, as expectation values are of the state before them. Raises
    CircuitError if it holds anything else but unitary gates, or if they act on more qubits than the engine holds.
    """

    def __init__(self, circuit: QuantumCircuit, dtype: str) -> None:
        parameters = tuple(circuit.parameters)
        circuit = _without_measurements(_without_resets(circuit))
        self.qubits = _active_qubits(circuit)
        if len(self.qubits) > MAX_QUBITS:
            raise CircuitError(
                f"circuit {circuit.name!r} has gates on {len(self.qubits)} qubits and the exact engine holds at most "
                f"{MAX_QUBITS}: use EstimatorV2 of qiskit_aer.primitives, with ParamShiftEstimatorGradient"
            )
        memory = MemoryCircuit(_restrict(circuit, self.qubits), parameters, (), emissions=())
        self._engine = ExactEngine(memory, precision=dtype)

    def expectations(self, rows: np.ndarray, wanted: Sequence[tuple[PauliReadout, ...]]) -> list[np.ndarray]:
        """Return, for each row of parameters (N, P), the values of the sums wanted of it."""
        values = [np.zeros(len(readouts[0].coefficients)) for readouts in wanted]
        for indices, readouts in _batches(wanted):
            probabilities, _ = self._engine.forward(*_arguments(rows[indices], readouts))
            strings = _walsh_hadamard(probabilities[:, 0, 0].astype(float, copy=False))
            for k, (index, readout) in enumerate(zip(indices, readouts, strict=True)):
                values[index] += readout.values(strings[k])
        return values

    def gradients(self, rows: np.ndarray, wanted: Sequence[tuple[PauliReadout, ...]]) -> np.ndarray:
        """Return, for each row of parameters (N, P), the gradient of the one sum wanted of it: (N, P)."""
        gradient = np.zeros(rows.shape)
        for indices, readouts in _batches(wanted):
            _, tape = self._engine.forward(*_arguments(rows[indices], readouts))
            diagonals = {readout: readout.diagonals() for readout in set(readouts)}
            cotangent = np.stack([diagonals[readout] for readout in readouts])[:, None, None]
            np.add.at(gradient, indices, self._engine.backward(tape, cotangent).inputs[:, 0, 0])
        return gradient


def check_dtype(dtype: str) -> str:
    """Return the name of a precision; raises ConfigurationError for one that the engine lacks."""
    if dtype not in PRECISIONS:
        raise ConfigurationError(f"unknown dtype {dtype!r}; allowed: {', '.join(PRECISIONS)}")
    return dtype


def compiled(circuit: QuantumCircuit, dtype: str) -> ExpectationCircuit:
    """Compile a circuit, or find it among those compiled last."""
    return _compile(_Key(circuit.copy()), dtype)


@dataclass(frozen=True, eq=False)
class _Key:
    """A circuit that is found again by its gates; Qiskit's own are mutable and have no hash."""

    circuit: QuantumCircuit

    def __hash__(self) -> int:
        return hash((self.circuit.num_qubits, len(self.circuit.data)))

    def __eq__(self, other: object) -> bool:
        mine, theirs = self.circuit, other.circuit
        return (
            mine.qubits == theirs.qubits
            and mine.clbits == theirs.clbits
            and mine.global_phase == theirs.global_phase
            # Expressions may be equal although one of them has a parameter more.
            and tuple(mine.parameters) == tuple(theirs.parameters)
            and mine.data == theirs.data
        )


@lru_cache(maxsize=8)
def _compile(key: _Key, dtype: str) -> ExpectationCircuit:
    return ExpectationCircuit(key.circuit, dtype)


def _without_resets(circuit: QuantumCircuit) -> QuantumCircuit:
    """Leave out resets of qubits that are in their start state already, ``initialize`` of such being gates then."""
    if all(isinstance(instruction.operation, Gate) for instruction in circuit.data):
        return circuit
    cleaned = circuit.copy_empty_like()
    touched: set[Qubit] = set()
    for instruction in circuit.data:
        operation, qubits = instruction.operation, instruction.qubits
        if not touched.isdisjoint(qubits):
            cleaned.append(instruction)
        elif not isinstance(operation, Gate) and not instruction.clbits and getattr(operation, "definition", None):
            cleaned.compose(_without_resets(operation.definition), qubits, inplace=True)
        elif not isinstance(operation, Reset):
            cleaned.append(instruction)
        if not isinstance(operation, Barrier | Delay | Reset):
            touched.update(qubits)
    return cleaned


def _without_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """Leave out the measurements that end their qubits, unless something else reads what they found."""
    if not any(isinstance(instruction.operation, Measure) for instruction in circuit.data):
        return circuit
    kept, used, read = [], set(), set()
    for instruction in reversed(circuit.data):
        operation = instruction.operation
        final = used.isdisjoint(instruction.qubits) and read.isdisjoint(instruction.clbits)
        if isinstance(operation, Measure) and final:
            continue
        kept.append(instruction)
        if not isinstance(operation, Barrier | Delay):
            used.update(instruction.qubits)
            read.update(instruction.clbits)
    cleaned = circuit.copy_empty_like()
    for instruction in reversed(kept):
        cleaned.append(instruction)
    return cleaned


def _active_qubits(circuit: QuantumCircuit) -> tuple[int, ...]:
    """List the qubits that gates act on; one of them at least."""
    active = set()
    for position, instruction in enumerate(circuit.data):
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if instruction.clbits or isinstance(instruction.operation, Reset):
            raise CircuitError(
                f"circuit {circuit.name!r}, instruction {position}: {instruction.operation.name!r} on qubits {qubits} "
                "is not supported: the exact engine runs unitary gates only"
            )
        if not isinstance(instruction.operation, Barrier | Delay):
            active.update(qubits)
    return tuple(sorted(active)) or (0,)


def _restrict(circuit: QuantumCircuit, qubits: tuple[int, ...]) -> QuantumCircuit:
    """Leave out all other qubits, of which no gate acts on any."""
    if len(qubits) == circuit.num_qubits:
        return circuit
    restricted = QuantumCircuit(
        [circuit.qubits[k] for k in qubits], name=circuit.name, global_phase=circuit.global_phase
    )
    for instruction in circuit.data:
        if not isinstance(instruction.operation, Barrier | Delay):
            restricted.append(instruction)
    return restricted


def _batches(
    wanted: Sequence[tuple[PauliReadout, ...]],
) -> Iterator[tuple[list[int], list[PauliReadout]]]:
    """Sort readouts by their number of bases, which a batch has in common; yields rows' indices and readouts."""
    by_size: dict[tuple[int, ...], list[tuple[int, PauliReadout]]] = {}
    for index, readouts in enumerate(wanted):
        for readout in readouts:
            by_size.setdefault(readout.angles.shape, []).append((index, readout))
    for (bases, angles), requests in by_size.items():
        count = max(1, _NUMBERS_AT_ONCE // (bases * WIDE << angles // 2)) * WIDE
        for first in range(0, len(requests), count):
            indices, readouts = zip(*requests[first : first + count], strict=True)
            yield list(indices), list(readouts)


def _arguments(rows: np.ndarray, readouts: list[PauliReadout]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay out one step, no weights, and each row's own queries, as the engine takes them."""
    queries = np.stack([readout.angles for readout in readouts])
    return rows[:, None, None, :], np.empty((1, 0)), queries[:, None, None]


def _walsh_hadamard(numbers: np.ndarray) -> np.ndarray:
    """Transform (..., D): sum_j (-1)^|j & m| numbers_j for every m, the same both ways but for a factor D."""
    shape = numbers.shape
    step = 1
    while step < shape[-1]:
        pairs = numbers.reshape(-1, 2, step)
        even, odd = pairs[:, 0], pairs[:, 1]
        numbers = np.stack([even + odd, even - odd], axis=1)
        step *= 2
    return numbers.reshape(shape)
