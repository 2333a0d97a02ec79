"""Resets and measurements within a circuit: which they are, and the forms that devices have for them.

A measurement in the middle should be short, one at the end accurate. Devices that tell the two apart list ``measure_2``
and ``reset_2``, faster than ``measure`` and ``reset``.
"""

from __future__ import annotations

from collections.abc import Iterator

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Instruction
from qiskit.transpiler import Target

FASTER = {"measure": "measure_2", "reset": "reset_2"}
"""The faster form of an operation within a circuit, by the names that targets list."""
MEASUREMENTS = frozenset({"measure", FASTER["measure"]})
RESETS = frozenset({"reset", FASTER["reset"]})
_WITHIN = RESETS | {FASTER["measure"]}


def measurements(circuit: QuantumCircuit) -> list[CircuitInstruction]:
    """List the measurements of a circuit, of every form."""
    return [instruction for instruction in circuit.data if instruction.name in MEASUREMENTS]


def is_open(circuit: QuantumCircuit) -> bool:
    """Whether qubits are reset, or used again after they were measured, and nothing depends on what was measured."""
    if circuit.has_control_flow_op():
        return False
    if any(instruction.name in _WITHIN for instruction in circuit.data):
        return True
    final = sum(1 for _ in final_measurements(circuit))
    return len(measurements(circuit)) > final


def final_measurements(circuit: QuantumCircuit) -> Iterator[int]:
    """Yield the positions of the measurements after which nothing happens to their qubit, the last one first."""
    touched = set()
    for position in range(len(circuit.data) - 1, -1, -1):
        instruction = circuit.data[position]
        name = instruction.operation.name
        if name in ("barrier", "delay"):
            continue
        if name == "measure" and instruction.qubits[0] not in touched:
            yield position
        touched.update(instruction.qubits)
        if len(touched) == circuit.num_qubits:
            return


def in_faster_forms(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """Return ``circuit`` with its resets, and measurements but the last of a qubit, in the target's faster forms."""
    operations = faster_operations(target)
    if not operations or not any(name in circuit.count_ops() for name in FASTER):
        return circuit
    final = set(final_measurements(circuit))
    if len(final) == sum(circuit.count_ops().get(name, 0) for name in FASTER):
        return circuit
    written = circuit.copy_empty_like()
    for position, instruction in enumerate(circuit.data):
        operation = operations.get(instruction.operation.name)
        if operation is not None and position not in final:
            instruction = instruction.replace(operation=operation)
        written._append(instruction)
    return written


def faster_operations(target: Target) -> dict[str, Instruction]:
    """Return the faster forms that a target lists, by the name of the operation that they stand for."""
    return {name: _operation(faster) for name, faster in FASTER.items() if faster in target.operation_names}


def _operation(name: str) -> Instruction:
    from qiskit_ibm_runtime.circuit.library import MidCircuitMeasure, MidCircuitReset

    return MidCircuitMeasure(name) if name in MEASUREMENTS else MidCircuitReset(name)
