"""A device's target cut down to some of its qubits, for what needs a few qubits and not the whole device."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.transpiler import Target


def part_of_target(target: Target, qubits: Sequence[int]) -> Target:
    """Return the target of ``qubits`` alone, renumbered 0, 1, ... in the order given, calibration kept."""
    position = {qubit: index for index, qubit in enumerate(qubits)}
    properties = target.qubit_properties
    part = Target(
        num_qubits=len(qubits),
        dt=target.dt,
        qubit_properties=None if not properties else [properties[qubit] for qubit in qubits],
    )
    for name in target.operation_names:
        operation = target.operation_from_name(name)
        placed = target[name]
        if None in placed or isinstance(operation, type):
            part.add_instruction(operation, name=name if isinstance(operation, type) else None)
            continue
        inside = {
            tuple(position[qubit] for qubit in where): value
            for where, value in placed.items()
            if all(qubit in position for qubit in where)
        }
        if inside:
            part.add_instruction(operation, inside)
    return part
