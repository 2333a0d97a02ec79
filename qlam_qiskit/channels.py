"""What a memory's update may hold besides gates: resets, measurements into classical bits, and Qiskit's channels.

A channel is an ``Instruction`` that Qiskit knows as a superoperator: that of ``quantum_info.Kraus(...).to_instruction()``,
or of a noise model of Aer. Nothing measured may be fed back: all angles of a sequence are known before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.circuit import (
    Barrier,
    Clbit,
    ControlFlowOp,
    Delay,
    Gate,
    Instruction,
    Measure,
    Operation,
    QuantumCircuit,
    Reset,
)

from qlam_qiskit.errors import CircuitError


def is_channel(operation: Operation) -> bool:
    """Say whether an operation is more than a unitary gate, itself or through its definition."""
    if isinstance(operation, Gate | Barrier | Delay) or not isinstance(operation, Instruction):
        return False
    definition = operation.definition
    if definition is None:
        return True
    return any(is_channel(instruction.operation) for instruction in definition.data)


def check_update(update: QuantumCircuit, emissions: Sequence[int]) -> None:
    """Raise CircuitError for control flow, for measurements hidden in a definition, and for bits not measured once."""
    measured: dict[int, int] = {}
    for position, instruction in enumerate(update.data):
        operation = instruction.operation
        qubits = [update.find_bit(qubit).index for qubit in instruction.qubits]
        where = f"circuit {update.name!r}, instruction {position}: {operation.name!r} on qubits {qubits}"
        if isinstance(operation, ControlFlowOp) or operation.name == "store":
            raise CircuitError(
                f"{where} is not supported: nothing measured is fed back; allowed are gates, reset, measure and channels"
            )
        if isinstance(operation, Measure):
            (bit,) = (update.find_bit(clbit).index for clbit in instruction.clbits)
            if bit in measured:
                raise CircuitError(f"{where} writes classical bit {bit}, as instruction {measured[bit]} does already")
            measured[bit] = position
        elif instruction.clbits:
            raise CircuitError(f"{where} measures within its definition: write its measurements out")
    if missing := sorted(set(emissions).difference(measured)):
        raise CircuitError(f"circuit {update.name!r}: no measurement writes its emission bits {missing}")


def write_step(update: QuantumCircuit, ancillas: Sequence[int], emissions: Sequence[int]) -> QuantumCircuit:
    """Write out one step: the update, then a reset of every ancilla that is not |0> by then.

    Classical bits are the emissions, in order, and one more if a measurement that is no emission has to be kept. One
    that the reset of its qubit follows is left out: that changes nothing on average.
    """
    ends = _bit_uses(update)
    step = QuantumCircuit(update.num_qubits, len(emissions), name=update.name, global_phase=update.global_phase)
    unread = None
    for position, instruction in enumerate(update.data):
        operation = instruction.operation
        qubits = [update.find_bit(qubit).index for qubit in instruction.qubits]
        if not isinstance(operation, Measure):
            step.append(operation, qubits)
            continue
        bit = update.find_bit(instruction.clbits[0]).index
        if bit in emissions:
            step.append(operation, qubits, [list(emissions).index(bit)])
        elif not _reset_follows(ends[qubits[0]], position, qubits[0] in ancillas):
            if unread is None:
                unread = len(emissions)
                step.add_bits([Clbit()])
            step.append(operation, qubits, [unread])
    for qubit in ancillas:
        if ends[qubit] and not isinstance(ends[qubit][-1][1], Reset):
            step.reset(qubit)
    return step


def _bit_uses(circuit: QuantumCircuit) -> list[list[tuple[int, Operation]]]:
    """List, for each qubit, the positions and operations that act on it, barriers and delays left out."""
    uses: list[list[tuple[int, Operation]]] = [[] for _ in circuit.qubits]
    for position, instruction in enumerate(circuit.data):
        if not isinstance(instruction.operation, Barrier | Delay):
            for qubit in instruction.qubits:
                uses[circuit.find_bit(qubit).index].append((position, instruction.operation))
    return uses


def _reset_follows(uses: list[tuple[int, Operation]], position: int, at_the_end: bool) -> bool:
    later = next((operation for place, operation in uses if place > position), None)
    return at_the_end if later is None else isinstance(later, Reset)
