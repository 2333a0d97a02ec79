"""Groups a plan's operations for a device where every launch costs more than its arithmetic.

All rotations of single qubits that no other operation parts become one :class:`LocalRotations`, whatever their axes;
a run of phases of single qubits only is a row of rotations about Z. Other runs and permutations stay as they are. The
rotations that end a step meet those that begin the next one: they are split off as the step's *tail*, to be joined to
what follows, the next step or a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qlam_qiskit.engine.plan import PhaseRun, Plan
from qlam_qiskit.engine.primitives import Angle, Permutation, Rotation

_NO_TURN = ("Z", 0.0)


@dataclass(frozen=True)
class LocalRotations:
    """Rows of rotations, one after the other; a row turns each qubit about an axis ("X", "Y", "Z") by an angle."""

    rows: tuple[tuple[tuple[str, Angle], ...], ...]

    @property
    def angles(self) -> list[Angle]:
        """The angles row by row, 0 where a row leaves a qubit alone."""
        return [angle for row in self.rows for _, angle in row]


Group = LocalRotations | PhaseRun | Permutation


def group(plan: Plan) -> list[Group]:
    """Group the operations of a step, in order."""
    groups: list[list[list[tuple[str, Angle]]] | PhaseRun | Permutation] = []
    for operation in plan.operations:
        if isinstance(operation, Rotation):
            _turn(groups, plan.num_qubits, operation.axis, operation.qubit, operation.angle)
        elif isinstance(operation, PhaseRun) and all(mask.bit_count() == 1 for mask in operation.angles):
            for mask, angle in operation.angles.items():
                _turn(groups, plan.num_qubits, "Z", mask.bit_length() - 1, angle)
        else:
            groups.append(operation)
    return [_rows(part) if isinstance(part, list) else part for part in groups]


def _turn(groups: list, qubits: int, axis: str, qubit: int, angle: Angle) -> None:
    """Add a rotation to the last local group that it reaches past phases of other qubits, else begin a new one."""
    for earlier in reversed(groups):
        if isinstance(earlier, list):
            earlier[qubit].append((axis, angle))
            return
        if isinstance(earlier, Permutation) or earlier.touches(qubit):
            break
    groups.append([[] for _ in range(qubits)])
    groups[-1][qubit].append((axis, angle))


def _rows(turns: list[list[tuple[str, Angle]]]) -> LocalRotations:
    """Lay the rotations of each qubit out in rows."""
    depth = max(len(own) for own in turns)
    padded = [own + [_NO_TURN] * (depth - len(own)) for own in turns]
    return LocalRotations(tuple(zip(*padded, strict=True)))


def split_tail(groups: list[Group]) -> tuple[list[Group], list[Group]]:
    """Split a step into what precedes its last rotations, and these, if the next step begins with rotations too."""
    if len(groups) > 1 and all(isinstance(groups[end], LocalRotations) for end in (0, -1)):
        return groups[:-1], groups[-1:]
    return groups, []


def join(first: list[Group], second: list[Group]) -> list[Group]:
    """Run one list of groups after the other, rotations that meet as one."""
    if first and second and isinstance(first[-1], LocalRotations) and isinstance(second[0], LocalRotations):
        return [*first[:-1], LocalRotations(first[-1].rows + second[0].rows), *second[1:]]
    return [*first, *second]


def angles_of(groups: Iterable[Group]) -> list[Angle]:
    """List the angles of groups in the order in which they are used; joining does not change it."""
    angles: list[Angle] = []
    for part in groups:
        if isinstance(part, LocalRotations):
            angles.extend(part.angles)
        elif isinstance(part, PhaseRun):
            angles.extend(part.angles.values())
    return angles
