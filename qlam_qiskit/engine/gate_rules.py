"""How each of Qiskit's standard gates is written as primitives, with its global phase.

A gate is a product of its primitives; numbers among them, radians, are global phases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from qiskit.circuit import Barrier, Delay
from qiskit.circuit import library as lib

from qlam_qiskit.engine.primitives import Angle, Phase, Primitive, Rotation

PI = math.pi
Move = Callable[[list[np.ndarray]], list[np.ndarray]]
Rule = Callable[[list[Angle], list[int]], Iterator[Primitive | Angle]]


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


NOTHING = {lib.IGate, Barrier, Delay}
PERMUTATIONS: dict[type, Move] = {
    lib.XGate: _flip_last,
    lib.CXGate: _flip_last,
    lib.CCXGate: _flip_last,
    lib.C3XGate: _flip_last,
    lib.C4XGate: _flip_last,
    lib.MCXGate: _flip_last,
    lib.SwapGate: _swap_last,
    lib.CSwapGate: _swap_last,
}


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


def _fixed_phase(angle: float) -> Rule:
    return lambda p, q: _phase_on_ones([angle], q)


def _y(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (Rotation("Y", q[0], PI), PI / 2)


def _h(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (*_phase_on_ones([PI], q), Rotation("Y", q[0], PI / 2))


def _root_of_x(angle: float) -> Rule:
    return lambda p, q: iter((Rotation("X", q[0], angle), angle / 2))


def _controlled_z_rotation(p: list[Angle], q: list[int]) -> Iterator[Primitive | Angle]:
    yield from (Phase(_mask(q[1]), p[0] * 0.5), Phase(_mask(*q), p[0] * -0.5))


def _in_basis(rule: Rule, *basis: tuple[int, str]) -> Rule:
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


RULES: dict[type, Rule] = {
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
