"""Gradients from more circuits: the parameter shift rule, and simultaneous perturbation.

Both give the product of a cotangent and the Jacobian for every row of parameters, in as few PUBs as there are circuits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from qiskit.circuit import Clbit, Operation, Parameter, ParameterExpression, ParameterVector, QuantumCircuit, Qubit
from qiskit.circuit import library as lib

from qlam_qiskit.engine import AngleFunctions, synthesize
from qlam_qiskit.errors import CircuitError

Evaluate = Callable[[np.ndarray], np.ndarray]

# Gates exp(-i a G/2) with G^2 = 1, up to a global phase: two evaluations at a +- pi/2 give the exact derivative.
_SHIFTABLE = {
    lib.RXGate: "rx",
    lib.RYGate: "ry",
    lib.RZGate: "rz",
    lib.PhaseGate: "p",
    lib.RXXGate: "rxx",
    lib.RYYGate: "ryy",
    lib.RZZGate: "rzz",
    lib.RZXGate: "rzx",
}
_ROWS_AT_ONCE = 4096


class ParameterShift:
    """The parameter shift rule for a circuit whose parameters may occur many times, in any expression.

    Every occurrence gets an angle of its own, is shifted by plus and minus pi/2, and the differences are carried back
    through the expressions: 2 evaluations a row and occurrence. Resets, measurements and channels may stand anywhere:
    expectation values are as linear in the state as without them.
    Source: Schuld et al., Phys. Rev. A 99, 032331 (2019).

    Raises CircuitError naming a gate with parameters that is no product of such rotations, and its place.

    ``runner`` is given the circuit of separate angles and their parameters, and returns what evaluates rows of them.
    """

    def __init__(
        self,
        circuit: QuantumCircuit,
        parameters: Sequence[Parameter],
        runner: Callable[[QuantumCircuit, Sequence[Parameter]], Evaluate],
    ) -> None:
        separated, angles, occurrences = _separate(circuit)
        self._functions = AngleFunctions(angles, parameters)
        self._evaluate = runner(separated, occurrences)

    def gradient(self, rows: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Multiply dL/dy (N, K) with the Jacobian at rows of parameters (N, P); returns (N, P)."""
        angles = self._functions(rows)
        count = angles.shape[1]
        shifts = np.concatenate([np.eye(count), -np.eye(count)]) * np.pi / 2
        shifted = (angles[:, None, :] + shifts).reshape(-1, count)
        blocks = [self._evaluate(shifted[k : k + _ROWS_AT_ONCE]) for k in range(0, len(shifted), _ROWS_AT_ONCE)]
        values = np.concatenate(blocks).reshape(len(rows), 2, count, -1)
        derivatives = np.einsum("nak,nk->na", (values[:, 0] - values[:, 1]) / 2, cotangent)
        return self._functions.pull_back(rows, derivatives)


def _separate(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[ParameterExpression], ParameterVector]:
    """Give every parametrized gate an angle of its own; returns the circuit, the old angles, and the new parameters."""
    expanded = circuit.copy_empty_like()
    expanded.global_phase = 0
    for position, instruction in enumerate(circuit.data):
        try:
            for operation, qubits, bits in _shiftable(instruction.operation, instruction.qubits, instruction.clbits):
                expanded.append(operation, qubits, bits)
        except _NoRule as error:
            qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
            raise CircuitError(
                f"circuit {circuit.name!r}, instruction {position}: {instruction.operation.name!r} on qubits {qubits} "
                f"has no shift rule{error}: use gradient adjoint or spsa"
            ) from None
    places = [index for index, i in enumerate(expanded.data) if any(map(_is_free, i.operation.params))]
    vector = ParameterVector("angle", len(places))
    fresh = dict(zip(places, vector, strict=True))
    separated = expanded.copy_empty_like()
    angles = []
    for index, instruction in enumerate(expanded.data):
        operation = instruction.operation
        if index in fresh:
            angles.append(operation.params[0])
            operation = operation.base_class(fresh[index])
        separated.append(operation, instruction.qubits, instruction.clbits)
    return separated, angles, vector


class _NoRule(Exception):
    """Says in which gate of a definition the parameters are."""


def _shiftable(
    operation: Operation, qubits: Sequence[Qubit], bits: Sequence[Clbit]
) -> Iterator[tuple[Operation, Sequence[Qubit], Sequence[Clbit]]]:
    """Write an operation with parameters as gates that can be shifted and others without parameters.

    Gates whose generators have more than two eigenvalues, as controlled rotations, XXPlusYY or a Pauli evolution, are
    products of such.
    """
    kind = getattr(operation, "base_class", type(operation))
    if kind in _SHIFTABLE or not _has_parameters(operation):
        yield operation, qubits, bits
        return
    if kind is lib.GlobalPhaseGate:
        return
    if kind is lib.UGate:
        theta, phi, lam = operation.params
        for gate in (lib.RZGate(lam), lib.RYGate(theta), lib.RZGate(phi)):
            yield gate, qubits, bits
        return
    definition = getattr(operation, "definition", None) or synthesize(operation)
    if definition is None:
        raise _NoRule(f" (through {operation.name!r} in its definition)")
    for inner in definition.data:
        inner_qubits = [qubits[definition.find_bit(qubit).index] for qubit in inner.qubits]
        inner_bits = [bits[definition.find_bit(bit).index] for bit in inner.clbits]
        yield from _shiftable(inner.operation, inner_qubits, inner_bits)


def _has_parameters(operation: Operation) -> bool:
    """Say whether an operation, or what it modifies or is defined by, has free parameters."""
    base = getattr(operation, "base_op", operation)
    if any(map(_is_free, getattr(base, "params", ()))):
        return True
    definition = None if type(base).__name__ == "UnitaryGate" else getattr(base, "definition", None)
    return definition is not None and bool(definition.parameters)


def _is_free(angle: object) -> bool:
    return isinstance(angle, ParameterExpression) and bool(angle.parameters)


def spsa_gradient(
    evaluate: Evaluate,
    rows: np.ndarray,
    cotangent: np.ndarray,
    rng: np.random.Generator,
    *,
    perturbation: float = 0.1,
    directions: int = 8,
) -> np.ndarray:
    """Estimate the product of dL/dy (N, K) and the Jacobian at rows (N, P) from random directions; returns (N, P).

    All parameters of a row move at once by plus and minus ``perturbation`` radians; ``directions`` estimates are
    averaged. Source: Spall, IEEE Trans. Automatic Control 37, 332 (1992).
    """
    signs = rng.choice([-1.0, 1.0], size=(len(rows), directions, rows.shape[1]))
    moved = rows[:, None, None, :] + perturbation * np.stack([signs, -signs], axis=2)
    values = evaluate(moved.reshape(-1, rows.shape[1])).reshape(len(rows), directions, 2, -1)
    slopes = np.einsum("ndk,nk->nd", values[:, :, 0] - values[:, :, 1], cotangent) / (2 * perturbation)
    return np.einsum("nd,ndp->np", slopes, signs) / directions
