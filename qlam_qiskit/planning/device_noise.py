"""A memory circuit with a device's errors in it, each a channel that stands in the circuit where it strikes.

The update is written as it will run on a chain of the device: in rotations of one qubit and the device's entangling
gates. What Aer's noise model of the calibration says of a gate follows the gate; a qubit that waits relaxes; readout
errors precede measurements. Angles stay the logical ones, so that gradients with respect to them exist. On the device
a run of rotations becomes two pulses at most, between virtual RZ::

    RX(w) RY(x) RZ(z)    ->    RZ(a0) SX RZ(a1) SX RZ(a2)

The error of the second pulse commutes with RZ and stands exactly behind the run. That of the first one is carried
through the second; there it depends on a2, over which it is averaged: relaxation of less than 2e-4 a pulse, whose
direction differs from step to step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Instruction, Operation
from qiskit.providers import BackendV2
from qiskit.quantum_info import PTM, Kraus, Operator, SuperOp
from qiskit.transpiler import Target

from qlam_qiskit.backends import FASTER, part_of_target
from qlam_qiskit.channels import write_step
from qlam_qiskit.errors import PlanningError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.planning.chains import find_chains, typical_chain
from qlam_qiskit.planning.economy import economize, pulses_of, read_in_rotations
from qlam_qiskit.planning.usage import usage_of

if TYPE_CHECKING:
    from qiskit_aer.noise import NoiseModel

Floats = NDArray[np.float64]

# Steps after which the waiting times of a repeated update repeat too.
_SETTLED = 6


@dataclass(frozen=True)
class _Placed:
    """An operation of the written update, its qubits and classical bits by number."""

    operation: Operation
    qubits: tuple[int, ...]
    clbits: tuple[int, ...]

    @property
    def is_rotation(self) -> bool:
        return len(self.qubits) == 1 and isinstance(self.operation, Gate)


def best_chain(memory: MemoryCircuit, target: Target) -> tuple[int, ...]:
    """Return the chain of the device's qubits on which an update keeps most; PlanningError where there is none."""
    trial = typical_chain(memory.update.num_qubits, target)
    written = economize(memory.unroll(2, query=False), part_of_target(target, trial)).circuit
    return find_chains(target, usage_of(written, target), at_most=1)[0].qubits


def noisy_memory(
    memory: MemoryCircuit, device: BackendV2, chain: Sequence[int] | None = None, *, emissions: bool = False
) -> MemoryCircuit:
    """Write a device's errors into a memory circuit, as channels.

    Parameters
    ----------
    memory
        A circuit of gates, resets and measurements.
    device
        What has a target with a calibration, such as a fake device.
    chain
        The device's qubits that the update's qubits lie on, in order; by default the best ones for it.
    emissions
        Whether ancillas are measured before their reset. Otherwise they are not, which saves the time that all other
        qubits would wait meanwhile, and the memory that is returned has no emissions.

    Returns
    -------
    MemoryCircuit
        With the same parameters and roles. Gates between qubits that are no neighbours on the chain are routed, and
        the qubits brought back to their places when the step ends.

    Raises
    ------
    PlanningError
        If the device has no such chain, or the circuit holds channels of its own.
    """
    _check_channels(memory.update)
    _check_channels(memory.query)
    chain = tuple(chain) if chain is not None else best_chain(memory, device.target)
    memory = replace(memory, emissions=memory.emissions if emissions else ())
    memory = replace(memory, update=write_step(memory.update, memory.ancillas, memory.emissions))
    calibration = Calibration.of(part_of_target(device.target, chain))
    whole = QuantumCircuit(memory.update.num_qubits, name=memory.query.name)
    whole.compose(memory.query, memory.memory_qubits, inplace=True)
    update, query = _written(memory.update, calibration.target), _written(whole, calibration.target)
    tape = _Tape([*update * _SETTLED, *query], calibration, memory.update.num_qubits)
    noisy = memory.update.copy_empty_like()
    noisy.global_phase = 0
    # The second of the steps: the first one has no run before it, and the last ones wait for the measurement.
    for placed in tape.noisy(len(update), 2 * len(update)):
        noisy.append(placed.operation, placed.qubits, placed.clbits)
    measured = [*tape.noisy(_SETTLED * len(update), len(tape.placed)), *tape.measured(memory.memory_qubits)]
    return replace(memory, update=noisy, query=_query_of(memory, measured))


def _query_of(memory: MemoryCircuit, measured: list[_Placed]) -> QuantumCircuit:
    position = {qubit: index for index, qubit in enumerate(memory.memory_qubits)}
    query = QuantumCircuit(memory.num_qubits, name=memory.query.name)
    for placed in measured:
        if not set(placed.qubits) <= position.keys():
            raise PlanningError("the query rotation reaches an ancilla on its way; give one of one-qubit gates")
        query.append(placed.operation, [position[qubit] for qubit in placed.qubits])
    return query


def _written(circuit: QuantumCircuit, target: Target) -> list[_Placed]:
    """Write a circuit in rotations and the chain's entangling gates, every qubit ending where it began."""
    written = read_in_rotations(circuit, target, keep_places=True)
    return [
        _Placed(
            instruction.operation,
            tuple(written.find_bit(qubit).index for qubit in instruction.qubits),
            tuple(written.find_bit(clbit).index for clbit in instruction.clbits),
        )
        for instruction in written.data
        if instruction.operation.name not in ("barrier", "delay")
    ]


def _check_channels(circuit: QuantumCircuit) -> None:
    for instruction in circuit.data:
        if not isinstance(instruction.operation, Gate) and instruction.operation.name not in _KNOWN:
            raise PlanningError(
                f"circuit {circuit.name!r} holds a channel of its own ({instruction.operation.name!r}), as no device"
            )


_KNOWN = {"barrier", "delay", "measure", "reset"}


class _Tape:
    """Operations on a chain, one after another, and what goes wrong with each.

    Each is run as late as it can be, as compilers of pulses do; a qubit waits right behind the operation before, so
    that the run of rotations that follows is ended by the next operation.
    """

    def __init__(self, placed: Sequence[_Placed], calibration: Calibration, num_qubits: int) -> None:
        self.placed = placed
        self._calibration = calibration
        self._runs: dict[tuple[int, int], tuple[Floats | None, float]] = {}
        self._waits: dict[tuple[int, int], float] = {}
        runs: list[list[Gate]] = [[] for _ in range(num_qubits)]
        for index, item in enumerate(placed):
            if item.is_rotation:
                runs[item.qubits[0]].append(item.operation)
                continue
            for qubit in item.qubits:
                self._runs[index, qubit] = calibration.of_run(runs[qubit], qubit)
                runs[qubit] = []
        self._last = [calibration.of_run(run, qubit) for qubit, run in enumerate(runs)]
        latest = np.array([-seconds for _, seconds in self._last])
        for index in reversed(range(len(placed))):
            if placed[index].is_rotation:
                continue
            qubits = list(placed[index].qubits)
            ends = latest[qubits].min()
            for qubit in qubits:
                self._waits[index, qubit] = latest[qubit] - ends
            begins = ends - calibration.around(placed[index].operation.name, tuple(qubits))[2]
            latest[qubits] = [begins - self._runs[index, qubit][1] for qubit in qubits]

    def noisy(self, first: int, last: int) -> Iterator[_Placed]:
        """Yield operations first to last - 1, with the channels around them."""
        for index in range(first, last):
            item = self.placed[index]
            if item.is_rotation:
                yield item
                continue
            for qubit in item.qubits:
                yield from _channels(self._runs[index, qubit][0], (qubit,))
            before, after, _ = self._calibration.around(item.operation.name, item.qubits)
            yield from _channels(before, item.qubits)
            yield item
            yield from _channels(after, item.qubits)
            for qubit in item.qubits:
                yield from _channels(self._calibration.waiting(qubit, self._waits[index, qubit]), (qubit,))

    def measured(self, qubits: Sequence[int]) -> Iterator[_Placed]:
        """Yield what precedes a perfect measurement of ``qubits`` at the end."""
        for qubit in qubits:
            yield from _channels(self._last[qubit][0], (qubit,))
            yield from _channels(self._calibration.around("measure", (qubit,), final=True)[0], (qubit,))


def _channels(matrix: Floats | None, qubits: tuple[int, ...]) -> Iterator[_Placed]:
    if matrix is not None and not np.array_equal(matrix, np.eye(len(matrix))):
        yield _Placed(_instruction(matrix), qubits, ())


def _instruction(matrix: Floats) -> Instruction:
    """Return a Pauli transfer matrix as an instruction of Qiskit's, by its Kraus operators."""
    return Kraus(PTM(matrix)).to_instruction()


@dataclass(frozen=True)
class Calibration:
    """The errors of a chain as Pauli transfer matrices, qubit 0 the fastest digit, and the durations in seconds.

    Attributes
    ----------
    target
        Of the chain alone, its qubits numbered in order.
    model
        Aer's noise model of it.
    misread
        P(1|0) and P(0|1) of a measurement, by its name and qubit.
    """

    target: Target
    model: NoiseModel
    misread: dict[tuple[str, int], tuple[float, float]]
    _errors: dict[tuple[str, tuple[int, ...]], Floats | None] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, target: Target) -> Calibration:
        """Read the calibration of a chain."""
        from qiskit_aer.noise import NoiseModel

        from qlam_qiskit.backends import Described

        model = NoiseModel.from_backend(Described(target))
        misread = {}
        for name in ("measure", "measure_2"):
            for (qubit,), properties in target.get(name, {}).items():
                error = getattr(properties, "error", None) or 0.0
                misread[name, qubit] = error, error
        for (qubit,), error in model._local_readout_errors.items():
            (_, first), (second, _) = error.probabilities
            misread["measure", qubit] = float(first), float(second)
        return cls(target, model, misread)

    def around(
        self, name: str, qubits: tuple[int, ...], *, final: bool = False
    ) -> tuple[Floats | None, Floats | None, float]:
        """Return what precedes an operation, what follows it, and how long it takes.

        Measurements and resets within a circuit take the device's faster forms where it lists them.
        """
        if name in FASTER and not final and FASTER[name] in self.target.operation_names:
            name = FASTER[name]
        if name.startswith("measure"):
            return _misreading(*self.misread.get((name, qubits[0]), (0.0, 0.0))), None, self._seconds(name, qubits)
        error = self._error(name, qubits)
        if error is None and len(qubits) == 2 and (turned := self._error(name, qubits[::-1])) is not None:
            error = turned.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
        return None, error, self._seconds(name, qubits)

    def of_run(self, run: Sequence[Gate], qubit: int) -> tuple[Floats | None, float]:
        """Return the error of a run of rotations, behind it, and how long its pulses take."""
        gates, general = pulses_of(run, self.target)
        total, seconds, pulses = np.eye(4), 0.0, 0
        for index, gate in enumerate(gates):
            error = self._error(gate.name, (qubit,))
            seconds += self._seconds(gate.name, (qubit,))
            if error is None:
                continue
            pulses += 1
            if general and index < len(gates) - 2:
                # The pulse that follows, then RZ of an angle that differs from sample to sample.
                error = _about_z(_carried(error, gate.to_matrix()))
            elif not general:
                for later in gates[index + 1 :]:
                    error = _carried(error, later.to_matrix())
            total = error @ total
        return (total if pulses else None), seconds

    def waiting(self, qubit: int, seconds: float) -> Floats | None:
        """Return the relaxation of a qubit that waits."""
        properties = self.target.qubit_properties
        if seconds <= 0 or not properties or properties[qubit] is None:
            return None
        t1 = getattr(properties[qubit], "t1", None) or math.inf
        t2 = min(getattr(properties[qubit], "t2", None) or math.inf, 2 * t1)
        kept, coherent = math.exp(-seconds / t1), math.exp(-seconds / t2)
        matrix = np.diag([1.0, coherent, coherent, kept])
        matrix[3, 0] = 1 - kept
        return matrix

    def _error(self, name: str, qubits: tuple[int, ...]) -> Floats | None:
        """Return what the noise model has behind a gate; only those that occur are worked out, which takes long."""
        if (name, qubits) not in self._errors:
            error = self.model._local_quantum_errors.get(name, {}).get(qubits)
            self._errors[name, qubits] = None if error is None else _transfer_matrix(SuperOp(error))
        return self._errors[name, qubits]

    def _seconds(self, name: str, qubits: tuple[int, ...]) -> float:
        placed = self.target.get(name, {})
        properties = placed.get(qubits) or placed.get(qubits[::-1])
        return getattr(properties, "duration", None) or 0.0


def _transfer_matrix(channel: SuperOp) -> Floats:
    return np.real(PTM(channel).data)


def _carried(error: Floats, unitary: NDArray[np.complex128]) -> Floats:
    """Return the error as it is behind ``unitary`` when it struck before it."""
    turn = np.real(PTM(Operator(unitary)).data)
    return turn @ error @ turn.T


def _about_z(error: Floats) -> Floats:
    """Average an error over rotations about Z."""
    across = (error[1, 1] + error[2, 2]) / 2
    averaged = np.diag([1.0, across, across, error[3, 3]])
    averaged[3, 0] = error[3, 0]
    averaged[1, 2] = (error[1, 2] - error[2, 1]) / 2
    averaged[2, 1] = -averaged[1, 2]
    return averaged


def _misreading(one_for_zero: float, zero_for_one: float) -> Floats:
    """Return the channel that makes a perfect measurement misread as often: it leaves probabilities alone."""
    matrix = np.diag([1.0, 0.0, 0.0, 1 - one_for_zero - zero_for_one])
    matrix[3, 0] = zero_for_one - one_for_zero
    return matrix
