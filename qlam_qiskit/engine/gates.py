"""Rewrites Qiskit's standard gates as four primitives: RX, RY, Pauli-Z strings, and permutations of the amplitudes.

Every gate is a product of these and a global phase, with angles that stay Qiskit ``ParameterExpression``s. A gate
without a rule here is replaced by its own Qiskit ``definition``, or by what the transpiler makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from qiskit.circuit import (
    Barrier,
    ControlledGate,
    Delay,
    Operation,
    ParameterExpression,
    QuantumCircuit,
)
from qiskit.circuit import library as lib

from qlam_qiskit.errors import CircuitError

Angle = ParameterExpression | float
PI = math.pi
_Move = Callable[[list[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Rotation:
    """exp(-i angle G/2) with G the Pauli ``axis`` ("X" or "Y") of one qubit."""

    axis: str
    qubit: int
    angle: Angle


@dataclass(frozen=True)
class Phase:
    """exp(-i angle Z/2) with Z the Pauli-Z string on the qubits whose bits are set in ``mask``."""

    mask: int
    angle: Angle


@dataclass(frozen=True, eq=False)
class Permutation:
    """The amplitude at index j moves to index ``target[j]``."""

    target: np.ndarray


Primitive = Rotation | Phase | Permutation


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
    if kind in _NOTHING:
        return
    closed = not isinstance(operation, ControlledGate) or operation.ctrl_state == 2**operation.num_ctrl_qubits - 1
    if closed and kind in _RULES:
        yield from _RULES[kind](list(operation.params), list(qubits))
        return
    if closed and kind in _PERMUTATIONS:
        yield Permutation(_permutation(_PERMUTATIONS[kind], qubits, width))
        return
    definition = getattr(operation, "definition", None)
    if definition is None:
        definition = _synthesize(operation)
    if definition is None:
        raise _Unsupported(operation.name)
    for inner in definition.data:
        inner_qubits = [qubits[definition.find_bit(qubit).index] for qubit in inner.qubits]
        yield from _lower_instruction(inner.operation, inner_qubits, width)
    yield definition.global_phase


def _synthesize(operation: Operation) -> QuantumCircuit | None:
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


def _permutation(move: _Move, qubits: Sequence[int], width: int) -> np.ndarray:
    """Extend a move of a gate's own bits to the indices of all amplitudes."""
    target = np.arange(1 << width)
    bits = move([target >> qubit & 1 for qubit in qubits])
    for qubit, bit in zip(qubits, bits, strict=True):
        target = target & ~(1 << qubit) | bit << qubit
    return target


def _flip_last(bits: list[np.ndarray]) -> list[np.ndarray]:
    """X on the last qubit, controlled by all others."""
    *controls, last = bits
    return [*controls, last ^ _all(controls, last)]


def _swap_last(bits: list[np.ndarray]) -> list[np.ndarray]:
    """SWAP of the last two qubits, controlled by all others."""
    *controls, first, second = bits
    differ = (first ^ second) & _all(controls, first)
    return [*controls, first ^ differ, second ^ differ]


def _all(controls: list[np.ndarray], like: np.ndarray) -> np.ndarray:
    return np.bitwise_and.reduce([*controls, np.ones_like(like)])


_NOTHING = {lib.IGate, Barrier, Delay}
_PERMUTATIONS: dict[type, _Move] = {
    lib.XGate: _flip_last,
    lib.CXGate: _flip_last,
    lib.CCXGate: _flip_last,
    lib.C3XGate: _flip_last,
    lib.C4XGate: _flip_last,
    lib.MCXGate: _flip_last,
    lib.SwapGate: _swap_last,
    lib.CSwapGate: _swap_last,
}

_Rule = Callable[[list[Angle], list[int]], Iterator[Primitive | Angle]]


def _mask(*qubits: int) -> int:
    return sum(1 << qubit for qubit in qubits)


def _rx(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield Rotation("X", q[0], p[0])


def _ry(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield Rotation("Y", q[0], p[0])


def _z_string(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield Phase(_mask(*q), p[0])


def _r(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    theta, phi = p
    yield from (Phase(_mask(*q), -phi), Rotation("X", q[0], theta), Phase(_mask(*q), phi))


def _u(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    theta, phi, lam = p
    yield from (Phase(_mask(*q), lam), Rotation("Y", q[0], theta), Phase(_mask(*q), phi), (phi + lam) * 0.5)


def _phase_on_ones(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    """diag(1, ..., 1, exp(i angle)): the angle's projector on all ones is a sum of Z strings over subsets."""
    share = p[0] * (1 / 2 ** len(q))
    yield share
    for size in range(1, len(q) + 1):
        for subset in combinations(q, size):
            yield Phase(_mask(*subset), share * (2.0 if size % 2 else -2.0))


def _fixed_phase(angle: float) -> _Rule:
    return lambda p, q: _phase_on_ones([angle], q)


def _y(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (Rotation("Y", q[0], PI), PI / 2)


def _h(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (*_phase_on_ones([PI], q), Rotation("Y", q[0], PI / 2))


def _root_of_x(angle: float) -> _Rule:
    return lambda p, q: iter((Rotation("X", q[0], angle), angle / 2))


def _controlled_z_rotation(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (Phase(_mask(q[1]), p[0] * 0.5), Phase(_mask(*q), p[0] * -0.5))


def _in_basis(rule: _Rule, *basis: tuple[int, str]) -> _Rule:
    """Conjugate a diagonal gate so that Z becomes the given axis ("X" or "Y") on the given arguments."""
    turn = {"X": ("Y", PI / 2), "Y": ("X", -PI / 2)}

    def rotated(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
        for argument, axis in basis:
            yield Rotation(turn[axis][0], q[argument], -turn[axis][1])
        yield from rule(p, q)
        for argument, axis in basis:
            yield Rotation(turn[axis][0], q[argument], turn[axis][1])

    return rotated


def _cy(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from _in_basis(_fixed_phase(PI), (1, "Y"))(p, q)


def _ch(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield Rotation("Y", q[1], -PI / 4)
    yield from _phase_on_ones([PI], q)
    yield Rotation("Y", q[1], PI / 4)


def _global_phase(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield p[0]


_RULES: dict[type, _Rule] = {
    lib.RXGate: _rx,
    lib.RYGate: _ry,
    lib.RZGate: _z_string,
    lib.RZZGate: _z_string,
    lib.RGate: _r,
    lib.UGate: _u,
    lib.U3Gate: _u,
    lib.U2Gate: lambda p, q: _u([PI / 2, *p], q),
    lib.U1Gate: _phase_on_ones,
    lib.PhaseGate: _phase_on_ones,
    lib.CPhaseGate: _phase_on_ones,
    lib.CU1Gate: _phase_on_ones,
    lib.MCPhaseGate: _phase_on_ones,
    lib.ZGate: _fixed_phase(PI),
    lib.CZGate: _fixed_phase(PI),
    lib.CCZGate: _fixed_phase(PI),
    lib.SGate: _fixed_phase(PI / 2),
    lib.SdgGate: _fixed_phase(-PI / 2),
    lib.CSGate: _fixed_phase(PI / 2),
    lib.CSdgGate: _fixed_phase(-PI / 2),
    lib.TGate: _fixed_phase(PI / 4),
    lib.TdgGate: _fixed_phase(-PI / 4),
    lib.YGate: _y,
    lib.HGate: _h,
    lib.SXGate: _root_of_x(PI / 2),
    lib.SXdgGate: _root_of_x(-PI / 2),
    lib.CRZGate: _controlled_z_rotation,
    lib.CRXGate: _in_basis(_controlled_z_rotation, (1, "X")),
    lib.CRYGate: _in_basis(_controlled_z_rotation, (1, "Y")),
    lib.CYGate: _cy,
    lib.CHGate: _ch,
    lib.RXXGate: _in_basis(_z_string, (0, "X"), (1, "X")),
    lib.RYYGate: _in_basis(_z_string, (0, "Y"), (1, "Y")),
    lib.RZXGate: _in_basis(_z_string, (1, "X")),
    lib.GlobalPhaseGate: _global_phase,
}


def permute_string(mask: int, target: np.ndarray) -> tuple[int, int] | None:
    """Express j -> Z_mask(target[j]) as sign * Z_mask'(j); None when the permutation makes it no Pauli-Z string.

    Returns (mask', sign): the string that acts before the permutation as Z_mask does after it.
    """
    indices = np.arange(len(target))
    values = _eigenvalues(mask, target)
    sign = int(values[0])
    qubits = range(len(target).bit_length() - 1)
    moved = sum(1 << qubit for qubit in qubits if values[1 << qubit] != sign)
    return (moved, sign) if np.array_equal(values, sign * _eigenvalues(moved, indices)) else None


def _eigenvalues(mask: int, indices: np.ndarray) -> np.ndarray:
    """Z_mask's eigenvalues (+1 or -1) at the given amplitudes."""
    return 1 - 2 * (np.bitwise_count(indices & mask).astype(np.int64) & 1)


def string_signs(masks: Sequence[int], num_qubits: int) -> np.ndarray:
    """Tabulate the eigenvalues of Pauli-Z strings: float64 (strings, 2^n), little-endian amplitudes."""
    indices = np.arange(1 << num_qubits)
    return np.array([_eigenvalues(mask, indices) for mask in masks], float).reshape(len(masks), 1 << num_qubits)
