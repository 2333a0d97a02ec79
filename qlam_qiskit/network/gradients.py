"""Gradients from more circuits: the parameter shift rule, and simultaneous perturbation.

Both give the product of a cotangent and the Jacobian for every row of parameters, in as few PUBs as there are circuits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from qiskit import transpile
from qiskit.circuit import Parameter, ParameterExpression, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib

from qlam_qiskit.engine import AngleFunctions

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
_FIXED = ["h", "x", "y", "z", "s", "sdg", "sx", "sxdg", "t", "tdg", "cx", "cz", "swap", "id"]
_ROWS_AT_ONCE = 4096


class ParameterShift:
    """The parameter shift rule for a circuit whose parameters may occur many times, in any expression.

    Every occurrence gets an angle of its own, is shifted by plus and minus pi/2, and the differences are carried back
    through the expressions: 2 evaluations a row and occurrence. Source: Schuld et al., Phys. Rev. A 99, 032331 (2019).

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
    parametrized = {i.operation.base_class for i in circuit.data if any(map(_is_free, i.operation.params))}
    if not parametrized <= _SHIFTABLE.keys():
        circuit = transpile(circuit, basis_gates=[*_SHIFTABLE.values(), *_FIXED], optimization_level=0)
    places = [index for index, i in enumerate(circuit.data) if any(map(_is_free, i.operation.params))]
    vector = ParameterVector("angle", len(places))
    fresh = dict(zip(places, vector, strict=True))
    separated = circuit.copy_empty_like()
    separated.global_phase = 0
    angles = []
    for index, instruction in enumerate(circuit.data):
        operation = instruction.operation
        if index in fresh:
            angles.append(operation.params[0])
            operation = operation.base_class(fresh[index])
        separated.append(operation, instruction.qubits, instruction.clbits)
    return separated, angles, vector


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
