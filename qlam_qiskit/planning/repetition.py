"""Writes a memory's sequence for a chain of qubits by writing one step of it, however many steps there are.

From the second step on every step has the same gates: rotations that end a step are merged with those that begin the
next one. So a sequence of T steps is four pieces::

    the first step,   a step (T - 2 times),   the last step,   the ending

The last step differs from a step in the form of its measurements only. Gates, times and angles of the whole follow from
those of the pieces, and nothing is written out before it is sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, Gate, Instruction, Parameter
from qiskit.transpiler import Target

from qlam_qiskit.backends import faster_operations
from qlam_qiskit.memory_sequence import MemorySequence
from qlam_qiskit.planning.economy import (
    EconomicalCircuit,
    economize,
    entangling_gates,
    evaluate,
    fixed_gates,
    general_gates,
    is_free,
    is_rotation,
    lies_on_chain,
    one_qubit_form,
    read_in_rotations,
    written_angles,
)
from qlam_qiskit.planning.rotations import IDENTITY, Floats, compose, rotation
from qlam_qiskit.planning.usage import Operation, Stopwatch, Usage

# Steps that are written as one circuit, to see whether gates of neighbouring steps cancel.
_TRIED = 3


@dataclass(frozen=True)
class _Placed:
    """An operation of a piece, or None for a run of rotations with parameters, at qubits and classical bits."""

    operation: Instruction | None
    qubits: tuple[int, ...]
    clbits: tuple[int, ...] = ()
    final: bool = False


@dataclass(frozen=True)
class _Timed:
    """A rotation, and how many steps before the piece it stands in the logical circuit: 0 or 1."""

    gate: Gate
    before: int = 0


@dataclass(frozen=True)
class _Piece:
    """Operations in the device's gates, and the logical rotations of each run among them, in order."""

    placed: tuple[_Placed, ...]
    runs: tuple[tuple[_Timed, ...], ...]


_Pending = tuple[tuple[_Timed, ...], ...]


@dataclass(frozen=True, eq=False)
class EconomicalSequence:
    """A sequence in a chain's own gates, three Euler angles for each run that has parameters.

    It offers what :class:`~qlam_qiskit.planning.economy.EconomicalCircuit` does, for two steps or more.
    """

    sequence: MemorySequence
    form: str
    first: _Piece
    step: _Piece
    last: _Piece
    ending: _Piece

    def of_steps(self, steps: int) -> EconomicalSequence:
        """Return the same with fewer steps, 2 at least."""
        return replace(self, sequence=replace(self.sequence, steps=steps))

    @property
    def steps(self) -> int:
        """T."""
        return self.sequence.steps

    @property
    def num_angles(self) -> int:
        """Angles of the circuit."""
        return 3 * (len(self.first.runs) + (self.steps - 1) * len(self.step.runs) + len(self.ending.runs))

    @property
    def registers(self) -> dict[str, int]:
        """Bits of each classical register, by name."""
        return self.sequence.registers

    def append_to(
        self, circuit: QuantumCircuit, qubits: Sequence[int], clbits: Sequence[Clbit], angles: Sequence[Parameter]
    ) -> None:
        """Write it behind what ``circuit`` holds, on some of its qubits and bits, its angles named."""
        wires, names = [circuit.qubits[qubit] for qubit in qubits], iter(angles)
        # Instructions without free angles are the same in every step.
        alike: dict[tuple[int, tuple[int, ...]], CircuitInstruction] = {}

        def repeated(operation: Instruction, qubits: tuple[int, ...]) -> CircuitInstruction:
            if (known := alike.get((id(operation), qubits))) is None:
                known = CircuitInstruction(operation, [wires[qubit] for qubit in qubits])
                alike[id(operation), qubits] = known
            return known

        for index, piece in self._pieces():
            bits = [clbits[bit] for bit in self._bits(index)]
            for placed in piece.placed:
                where = placed.qubits
                if placed.clbits:
                    into = [bits[bit] for bit in placed.clbits]
                    circuit._append(CircuitInstruction(placed.operation, [wires[qubit] for qubit in where], into))
                elif placed.operation is not None:
                    circuit._append(repeated(placed.operation, where))
                else:
                    for gate in general_gates(self.form, (next(names), next(names), next(names))):
                        turned = CircuitInstruction(gate, [wires[where[0]]]) if gate.params else repeated(gate, where)
                        circuit._append(turned)

    def values(self, phi: Floats, queries: Floats, parameters: Sequence[Parameter]) -> Floats:
        """Compute the angles, shape (samples, angles).

        ``phi`` (samples, T, P) are the inputs, ``queries`` (samples, A) those of the ending's ``parameters``.
        """
        samples, inputs = len(phi), phi.reshape(len(phi) * self.steps, -1)
        gates = (timed.gate for piece in (self.first, self.step) for run in piece.runs for timed in run)
        turned = evaluate((*gates, *self._carried), self.sequence.inputs, inputs)
        turned = {angle: values.reshape(samples, self.steps) for angle, values in turned.items()}
        own = (timed.gate for run in self.ending.runs for timed in run if not timed.before)
        last = evaluate(own, parameters, queries)
        found = (
            self._angles(self.first, samples, range(1), turned),
            self._angles(self.step, samples, range(1, self.steps), turned),
            self._angles(self.ending, samples, range(self.steps, self.steps + 1), turned, last),
        )
        return np.concatenate(found, axis=1)

    def num_nonlocal_gates(self) -> int:
        """Count the gates of two qubits."""
        one, ending = (sum(len(placed.qubits) == 2 for placed in piece.placed) for piece in (self.step, self.ending))
        return self.steps * one + ending

    def measured(self) -> dict[str, tuple[int | None, ...]]:
        """Return the qubit that each bit of each register is read from at the end, None where it is read before."""
        found: list[int | None] = [None] * sum(self.registers.values())
        for index, piece in ((self.steps - 1, self.last), (self.steps, self.ending)):
            bits = self._bits(index)
            for placed in piece.placed:
                if placed.final:
                    found[bits[placed.clbits[0]]] = placed.qubits[0]
        rest = iter(found)
        return {name: tuple(next(rest) for _ in range(size)) for name, size in self.registers.items()}

    def usage(self, target: Target, chain: Sequence[int] | None = None) -> Usage:
        """Return what the circuit uses on a chain, without writing it."""
        watch = Stopwatch(self.sequence.num_qubits, target, chain)
        watch.take(self._operations(self.first))
        watch.take(self._operations(self.step), repeat=self.steps - 2)
        watch.take(self._operations(self.last))
        watch.take(self._operations(self.ending))
        return watch.usage()

    def _pieces(self) -> Iterator[tuple[int, _Piece]]:
        """Yield every step and the ending, numbered."""
        yield 0, self.first
        for index in range(1, self.steps - 1):
            yield index, self.step
        yield self.steps - 1, self.last
        yield self.steps, self.ending

    def _bits(self, index: int) -> Sequence[int]:
        """Return which of the whole circuit's bits a piece has."""
        if index < self.steps:
            return self.sequence.bits_of_step(index)
        total = sum(self.registers.values())
        return range(total - self.sequence.ending.num_clbits, total)

    @property
    def _carried(self) -> list[Gate]:
        """The rotations of the last step that end up in the ending."""
        return [timed.gate for run in self.ending.runs for timed in run if timed.before]

    def _operations(self, piece: _Piece) -> list[Operation]:
        general = [gate.name for gate in general_gates(self.form, [Parameter(name) for name in "abc"])]
        return [
            (name, placed.qubits, placed.final)
            for placed in piece.placed
            for name in (general if placed.operation is None else [placed.operation.name])
        ]

    def _angles(
        self,
        piece: _Piece,
        samples: int,
        steps: range,
        turned: Mapping[object, Floats],
        own: Mapping[object, Floats] | None = None,
    ) -> Floats:
        """Compute the angles of a piece that stands at some steps, (samples, len(steps) * 3 * runs).

        ``turned`` are the inputs' angles, (samples, T) each; ``own`` those of the piece itself, (samples,), where they
        are none of the inputs.
        """
        angles = np.empty((samples, len(steps), len(piece.runs), 3))
        for index, run in enumerate(piece.runs):
            total = IDENTITY
            for timed in run:
                angle = timed.gate.params[0] if timed.gate.params else None
                if is_free(angle):
                    if own is not None and not timed.before:
                        angle = own[angle]
                    else:
                        angle = turned[angle][:, steps.start - timed.before : steps.stop - timed.before].ravel()
                total = compose(rotation(timed.gate.name, angle), total)
            euler = np.stack(written_angles(self.form, total), axis=-1)
            angles[:, :, index] = euler.reshape(samples, len(steps), 3)
        return angles.reshape(samples, -1)


class SequenceWriter:
    """Writes sequences for chains whose edges are alike; what readings of one register share is written once."""

    def __init__(self) -> None:
        # With the circuits, whose ids would be others' one day.
        self._steps: dict[tuple[int, object], tuple[QuantumCircuit, _Steps | None]] = {}
        self._ends: dict[tuple[int, int, object], tuple[QuantumCircuit, _Piece, _Piece]] = {}

    def write(self, sequence: MemorySequence, target: Target, edges: object) -> EconomicalSequence | EconomicalCircuit:
        """Return a sequence for a chain that ``target`` describes; those with equal ``edges`` have equal gates.

        Of one step, of steps that routing or cancelled gates make differ, it is the whole circuit. Raises PlanningError
        as :func:`~qlam_qiskit.planning.economy.economize` does.
        """
        form, step, ending = one_qubit_form(target), sequence.step, sequence.ending
        ready = sequence.steps > 1 and form and (entangling_gates(target) or sequence.num_qubits == 1)
        if ready and (id(step), edges) not in self._steps:
            self._steps[id(step), edges] = step, _write_steps(sequence, target)
        steps = self._steps[id(step), edges][1] if ready else None
        if steps is None or not lies_on_chain(ending, target):
            return economize(sequence.circuit(), target)
        if (key := (id(step), id(ending), edges)) not in self._ends:
            self._ends[key] = ending, *_write_end(ending, steps, target)
        return EconomicalSequence(sequence, form, steps.first, steps.step, *self._ends[key][1:])


@dataclass(frozen=True)
class _Steps:
    """The first step and the others, also before the device's faster forms, and what they leave to the next one."""

    first: _Piece
    step: _Piece
    plain: _Piece
    left: _Pending


def _write_steps(sequence: MemorySequence, target: Target) -> _Steps | None:
    """Write the first step and the others; None where they are not all alike."""
    if not lies_on_chain(sequence.step, target):
        return None
    one, form = _read(sequence.step, target), one_qubit_form(target)
    tried = replace(sequence, ending=QuantumCircuit(sequence.num_qubits), steps=min(_TRIED, sequence.steps))
    whole = _read(tried.circuit(), target)
    if _others(one * tried.steps) != _others(whole):
        return None
    first, pending = _merge(one, ((),) * sequence.num_qubits, form)
    step, after = _merge(one, pending, form)
    if after != pending:
        return None
    return _Steps(_in_faster_forms(first, target), _in_faster_forms(step, target), step, pending)


def _write_end(ending: QuantumCircuit, steps: _Steps, target: Target) -> tuple[_Piece, _Piece]:
    """Write the last step and the ending."""
    written, _ = _merge(_read(ending, target), steps.left, one_qubit_form(target), ends=True)
    last, written = _finished(steps.plain, written)
    return _in_faster_forms(last, target), _in_faster_forms(written, target)


def _read(circuit: QuantumCircuit, target: Target) -> list[_Placed]:
    read = read_in_rotations(circuit, target)
    return [
        _Placed(
            item.operation,
            tuple(read.find_bit(qubit).index for qubit in item.qubits),
            tuple(read.find_bit(clbit).index for clbit in item.clbits),
        )
        for item in read.data
    ]


def _others(placed: Sequence[_Placed]) -> Counter[tuple[str, tuple[int, ...]]]:
    """Count what is no rotation."""
    return Counter((item.operation.name, item.qubits) for item in placed if not is_rotation(item.operation))


def _merge(read: Sequence[_Placed], pending: _Pending, form: str, *, ends: bool = False) -> tuple[_Piece, _Pending]:
    """Merge the rotations between two other operations.

    Also returns those that are left to the next piece, none if the circuit ``ends``.
    """
    runs = [list(run) for run in pending]
    placed, merged = [], []
    for item in read:
        if is_rotation(item.operation):
            runs[item.qubits[0]].append(_Timed(item.operation))
            continue
        for qubit in item.qubits:
            _end_run(runs[qubit], qubit, form, placed, merged)
        placed.append(item)
    if ends:
        for qubit, run in enumerate(runs):
            _end_run(run, qubit, form, placed, merged)
    left = tuple(tuple(replace(timed, before=timed.before + 1) for timed in run) for run in runs)
    return _Piece(tuple(placed), tuple(merged)), left


def _end_run(run: list[_Timed], qubit: int, form: str, placed: list[_Placed], merged: list[tuple[_Timed, ...]]) -> None:
    """Write a run that ends here: as a general rotation, or with as few gates as its angles need."""
    if any(is_free(timed.gate.params[0]) for timed in run if timed.gate.params):
        placed.append(_Placed(None, (qubit,)))
        merged.append(tuple(run))
    else:
        placed.extend(_Placed(gate, (qubit,)) for gate in fixed_gates(form, [timed.gate for timed in run]))
    run.clear()


def _finished(last: _Piece, ending: _Piece) -> tuple[_Piece, _Piece]:
    """Mark the measurements after which nothing happens to their qubits."""
    touched: set[int] = set()
    marked = []
    for piece in (ending, last):
        placed = []
        for item in reversed(piece.placed):
            name = "" if item.operation is None else item.operation.name
            if name == "measure" and item.qubits[0] not in touched:
                item = replace(item, final=True)
            if name != "delay":
                touched.update(item.qubits)
            placed.append(item)
        marked.append(replace(piece, placed=tuple(reversed(placed))))
    return marked[1], marked[0]


def _in_faster_forms(piece: _Piece, target: Target) -> _Piece:
    """Take the target's faster forms of resets, and of measurements that are not final."""
    faster = faster_operations(target)
    placed = (
        replace(item, operation=faster[item.operation.name])
        if item.operation is not None and item.operation.name in faster and not item.final
        else item
        for item in piece.placed
    )
    return replace(piece, placed=tuple(placed))
