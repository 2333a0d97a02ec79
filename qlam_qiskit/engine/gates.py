"""Rewrites a circuit of Qiskit's gates as primitives, in order of application, and a global phase.

A gate without a rule is replaced by its own Qiskit ``definition``, or by what the transpiler makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from qiskit.circuit import ControlledGate, Operation, QuantumCircuit

from qlam_qiskit.engine.gate_rules import NOTHING, PERMUTATIONS, RULES, Move
from qlam_qiskit.engine.primitives import Angle, Permutation, Phase, Primitive, Rotation
from qlam_qiskit.errors import CircuitError


def lower(circuit: QuantumCircuit) -> tuple[list[Primitive], Angle]:
    """Rewrite a circuit as primitives in order of application, and its global phase (radians).

    Raises CircuitError naming the first instruction that is not a unitary gate of known definition, and its place.
    """
    primitives: list[Primitive] = []
    phase: Angle = circuit.global_phase
    for position, instruction in enumerate(circuit.data):
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        try:
            for part in _lower_instruction(instruction.operation, qubits, circuit.num_qubits):
                if isinstance(part, Rotation | Phase | Permutation):
                    primitives.append(part)
                else:
                    phase = phase + part
        except _Unsupported as error:
            inner = f" (through {error.name!r} in its definition)" if error.name != instruction.operation.name else ""
            raise CircuitError(
                f"circuit {circuit.name!r}, instruction {position}: {instruction.operation.name!r} on qubits {qubits} "
                f"is not supported{inner}: the exact engine runs unitary gates only"
            ) from None
    return primitives, phase


class _Unsupported(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _lower_instruction(operation: Operation, qubits: Sequence[int], width: int) -> Iterator[Primitive | Angle]:
    """Yield primitives, and global phases as bare angles."""
    kind = getattr(operation, "base_class", type(operation))
    if kind in NOTHING:
        return
    closed = not isinstance(operation, ControlledGate) or operation.ctrl_state == 2**operation.num_ctrl_qubits - 1
    if closed and kind in RULES:
        yield from RULES[kind](list(operation.params), list(qubits))
        return
    if closed and kind in PERMUTATIONS:
        yield Permutation(_permutation(PERMUTATIONS[kind], qubits, width))
        return
    definition = getattr(operation, "definition", None)
    if definition is None:
        definition = synthesize(operation)
    if definition is None:
        raise _Unsupported(operation.name)
    for inner in definition.data:
        inner_qubits = [qubits[definition.find_bit(qubit).index] for qubit in inner.qubits]
        yield from _lower_instruction(inner.operation, inner_qubits, width)
    yield definition.global_phase


def synthesize(operation: Operation) -> QuantumCircuit | None:
    """Write out what Qiskit leaves to its transpiler: annotated operations, permutations, Cliffords."""
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler.passes import HighLevelSynthesis

    circuit = QuantumCircuit(operation.num_qubits, operation.num_clbits)
    circuit.append(operation, circuit.qubits, circuit.clbits)
    try:
        synthesized = HighLevelSynthesis()(circuit)
    except QiskitError:
        return None
    return None if operation.name in synthesized.count_ops() else synthesized


def _permutation(move: Move, qubits: Sequence[int], width: int) -> np.ndarray:
    """Extend a move of a gate's own bits to the indices of all amplitudes."""
    target = np.arange(1 << width)
    bits = move([target >> qubit & 1 for qubit in qubits])
    for qubit, bit in zip(qubits, bits, strict=True):
        target = target & ~(1 << qubit) | bit << qubit
    return target
