"""Compiles a circuit into a plan: few operations, each covering as many gates as it can.

The gates of a step are first rewritten as primitives (:mod:`.gates`), then scheduled: rotations of one qubit about one
axis add up, all diagonal gates that commute to the same place become one phase, and CX, SWAP and X merge into one
permutation, past which phases are carried. The cost of compiling does not depend on the length of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit

from qlam_qiskit.engine.angles import parameters_of
from qlam_qiskit.engine.gates import lower
from qlam_qiskit.engine.primitives import Angle, Permutation, Phase, Primitive, Rotation, permute_string


@dataclass
class PhaseRun:
    """Diagonal gates applied together: for each Pauli-Z string (as a mask of qubits) its angle in radians."""

    angles: dict[int, Angle] = field(default_factory=dict)

    def add(self, mask: int, angle: Angle) -> None:
        """Turn the string's angle by ``angle`` more."""
        self.angles[mask] = self.angles[mask] + angle if mask in self.angles else angle

    def touches(self, qubit: int) -> bool:
        """Say whether a string holds the qubit."""
        return any(mask >> qubit & 1 for mask in self.angles)


Operation = Rotation | PhaseRun | Permutation


@dataclass(frozen=True)
class Plan:
    """One step of a circuit as the engine runs it.

    Attributes
    ----------
    num_qubits
        Qubits n of the register.
    inputs, weights
        The circuit's parameters by role; an angle that depends on an input differs between samples and steps.
    operations
        What a step does, in order.
    global_phase
        Radians, dropped from the states that the engine computes with; no readout depends on it.
    """

    num_qubits: int
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    global_phase: Angle

    def depends_on_input(self, angle: Angle) -> bool:
        """Say whether an angle differs between samples."""
        return not parameters_of(angle).isdisjoint(self.inputs)


def compile_plan(circuit: QuantumCircuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> Plan:
    """Compile a circuit of Qiskit standard gates; raises CircuitError for an instruction that is not a unitary gate."""
    primitives, phase = lower(circuit)
    operations: list[Operation] = []
    for primitive in primitives:
        schedule(operations, primitive)
    kept = tuple(operation for operation in operations if not _is_nothing(operation))
    return Plan(circuit.num_qubits, tuple(inputs), tuple(weights), kept, phase)


def schedule(operations: list[Operation], primitive: Primitive) -> None:
    """Add a primitive to the operations, joining it with earlier ones where it may."""
    if isinstance(primitive, Rotation):
        _schedule_rotation(operations, primitive)
    elif isinstance(primitive, Phase):
        _schedule_phase(operations, primitive)
    else:
        _schedule_permutation(operations, primitive)


def _schedule_rotation(operations: list[Operation], new: Rotation) -> None:
    """Add the rotation to one of its own axis that it reaches, else place it before the phases it commutes with."""
    place = len(operations)
    for index in range(len(operations) - 1, -1, -1):
        earlier = operations[index]
        if isinstance(earlier, Permutation) or (isinstance(earlier, PhaseRun) and earlier.touches(new.qubit)):
            break
        if isinstance(earlier, PhaseRun):
            place = index
        elif earlier.qubit == new.qubit:
            if earlier.axis == new.axis:
                operations[index] = Rotation(new.axis, new.qubit, earlier.angle + new.angle)
                return
            break
    operations.insert(place, new)


def _schedule_phase(operations: list[Operation], new: Phase) -> None:
    """Add the string to the first run of phases that it reaches, carried back past permutations."""
    mask, angle, place = new.mask, new.angle, len(operations)
    for index in range(len(operations) - 1, -1, -1):
        earlier = operations[index]
        if isinstance(earlier, PhaseRun):
            earlier.add(mask, angle)
            return
        if isinstance(earlier, Permutation):
            moved = permute_string(mask, earlier.target)
            if moved is None:
                break
            mask, angle, place = moved[0], angle * moved[1], index
        elif mask >> earlier.qubit & 1:
            break
    operations.insert(place, PhaseRun({mask: angle}))


def _schedule_permutation(operations: list[Operation], new: Permutation) -> None:
    """Merge with a permutation just before; two that cancel vanish, which lets what they parted merge."""
    if not operations or not isinstance(operations[-1], Permutation):
        operations.append(new)
        return
    earlier = operations.pop()
    target = new.target[earlier.target]
    if not np.array_equal(target, np.arange(len(target))):
        operations.append(Permutation(target))


def _is_nothing(operation: Operation) -> bool:
    if isinstance(operation, Rotation):
        return not parameters_of(operation.angle) and float(operation.angle) == 0.0
    return isinstance(operation, PhaseRun) and not operation.angles
