"""Rewrites a circuit of gates, resets, measurements and channels as the open engine's primitives.

A gate with parameters becomes turns about Pauli strings; a gate or channel without becomes its Pauli transfer matrix.
Global phases are dropped: a density matrix has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from qiskit.circuit import ControlledGate, Measure, Operation, ParameterExpression, QuantumCircuit, Reset
from qiskit.circuit import library as lib
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator, SuperOp

from qlam_qiskit.channels import is_channel
from qlam_qiskit.engine.gate_rules import NOTHING, RULES
from qlam_qiskit.engine.gates import synthesize
from qlam_qiskit.engine.open.pauli import DEPHASE, RESET, string_of, transfer_of_superoperator, transfer_of_unitary
from qlam_qiskit.engine.open.primitives import Channel, Measurement, Primitive, Turn
from qlam_qiskit.engine.primitives import Angle, Phase, Rotation
from qlam_qiskit.errors import CircuitError

_MOST_QUBITS = 3  # of a Pauli transfer matrix
_TOLERANCE = 1e-7  # of the trace that a channel keeps


def lower_open(circuit: QuantumCircuit, emissions: Sequence[int] = ()) -> list[Primitive]:
    """Rewrite a circuit as primitives in order of application; ``emissions`` lists its emission bits in order.

    Raises CircuitError naming the first instruction that cannot be run, and its place.
    """
    primitives: list[Primitive] = []
    order = {bit: index for index, bit in enumerate(emissions)}
    for position, instruction in enumerate(circuit.data):
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        bits = [circuit.find_bit(bit).index for bit in instruction.clbits]
        try:
            primitives.extend(_lower(instruction.operation, qubits, bits, order))
        except _Unsupported as error:
            raise CircuitError(
                f"circuit {circuit.name!r}, instruction {position}: {instruction.operation.name!r} on qubits {qubits} "
                f"{error}: the open engine runs gates, reset, measure, and channels of up to {_MOST_QUBITS} qubits"
            ) from None
    return primitives


class _Unsupported(Exception):
    """Says what is wrong with an instruction."""


def _lower(
    operation: Operation, qubits: Sequence[int], bits: Sequence[int], emissions: Mapping[int, int]
) -> Iterator[Primitive]:
    kind = getattr(operation, "base_class", type(operation))
    if kind in NOTHING:
        return
    if isinstance(operation, Measure):
        yield Measurement(qubits[0], emissions.get(bits[0]))
        return
    if isinstance(operation, Reset):
        yield Channel(tuple(qubits), RESET)
        return
    closed = not isinstance(operation, ControlledGate) or operation.ctrl_state == 2**operation.num_ctrl_qubits - 1
    if closed and kind in _TURNS:
        for label, on, angle in _TURNS[kind](list(operation.params)):
            yield Turn(string_of(label, [qubits[k] for k in on]), angle)
        return
    if _is_fixed(operation):
        matrix = _transfer_matrix(operation)
        if matrix is not None:
            yield Channel(tuple(qubits), matrix)
            return
    if closed and kind in RULES:
        yield from _by_rule(kind, operation, qubits)
        return
    definition = getattr(operation, "definition", None)
    if definition is None:
        definition = synthesize(operation)
    if definition is None:
        raise _Unsupported("is not supported")
    for inner in definition.data:
        inner_qubits = [qubits[definition.find_bit(qubit).index] for qubit in inner.qubits]
        inner_bits = [bits[definition.find_bit(bit).index] for bit in inner.clbits]
        yield from _lower(inner.operation, inner_qubits, inner_bits, emissions)


def _by_rule(kind: type, operation: Operation, qubits: Sequence[int]) -> Iterator[Primitive]:
    for part in RULES[kind](list(operation.params), list(qubits)):
        if isinstance(part, Rotation):
            yield Turn(string_of(part.axis, [part.qubit]), part.angle)
        elif isinstance(part, Phase):
            masked = [qubit for qubit in qubits if part.mask >> qubit & 1]
            yield Turn(string_of("Z" * len(masked), masked), part.angle)


def _is_fixed(operation: Operation) -> bool:
    """Say whether an operation is small and without parameters."""
    if operation.num_qubits > _MOST_QUBITS or getattr(operation, "num_clbits", 0):
        return False
    return not any(isinstance(part, ParameterExpression) and part.parameters for part in _parts(operation))


def _parts(operation: Operation) -> list[object]:
    base = getattr(operation, "base_op", operation)
    parts = list(getattr(base, "params", []))
    definition = getattr(base, "definition", None) if not parts else None
    return [*parts, *definition.parameters] if definition is not None else parts


def _transfer_matrix(operation: Operation) -> np.ndarray | None:
    """Return the Pauli transfer matrix of a gate or channel; None of what is neither for Qiskit."""
    try:
        if not is_channel(operation):
            return _clean(transfer_of_unitary(Operator(operation).data))
        matrix = transfer_of_superoperator(SuperOp(operation).data)
    except (QiskitError, AttributeError, TypeError):
        return None
    if np.abs(matrix[0] - np.eye(len(matrix))[0]).max() > _TOLERANCE:
        raise _Unsupported("does not keep the trace")
    matrix[0] = np.eye(len(matrix))[0]
    return _clean(matrix)


def _clean(matrix: np.ndarray) -> np.ndarray:
    """Take rounding errors of exact numbers away, so that what is zero costs nothing."""
    nearest = np.round(matrix)
    return np.where(np.abs(matrix - nearest) < 1e-14, nearest, matrix)


_Turns = Iterator[tuple[str, tuple[int, ...], Angle]]


def _pauli(label: str) -> object:
    on = tuple(range(len(label)))
    return lambda p: iter([(label, on, p[0])])


def _controlled(axis: str) -> object:
    """exp(-i a/4 (1 - Z) P) on control and target."""

    def turns(p: list[Angle]) -> _Turns:
        yield axis, (1,), p[0] * 0.5
        yield "Z" + axis, (0, 1), p[0] * -0.5

    return turns


def _exchange(sign: float, turned: int) -> object:
    """exp(-i a/4 (XX + sign YY)) between RZ of the angle b on one of its qubits and back."""

    def turns(p: list[Angle]) -> _Turns:
        angle, beta = p
        if isinstance(beta, ParameterExpression) or beta:
            yield "Z", (turned,), beta * sign
        yield "XX", (0, 1), angle * 0.5
        yield "YY", (0, 1), angle * (0.5 * sign)
        if isinstance(beta, ParameterExpression) or beta:
            yield "Z", (turned,), beta * -sign

    return turns


_TURNS = {
    lib.RXGate: _pauli("X"),
    lib.RYGate: _pauli("Y"),
    lib.RZGate: _pauli("Z"),
    lib.RXXGate: _pauli("XX"),
    lib.RYYGate: _pauli("YY"),
    lib.RZZGate: _pauli("ZZ"),
    lib.RZXGate: _pauli("ZX"),
    lib.CRXGate: _controlled("X"),
    lib.CRYGate: _controlled("Y"),
    lib.CRZGate: _controlled("Z"),
    lib.XXPlusYYGate: _exchange(1.0, 0),
    lib.XXMinusYYGate: _exchange(-1.0, 1),
}
