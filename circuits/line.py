"""The ring without its closing edge: nearest neighbours on a line, fit for heavy-hex hardware without routing."""

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit


def build(num_qubits: int, layers: int = 1) -> MemoryCircuit:
    """Build one update with 2n inputs and, for each of ``layers``, n-1 phases along the line and n rotations."""
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (2 * num_qubits - 1))
    update = QuantumCircuit(num_qubits, name="line")
    for qubit in range(num_qubits):
        update.ry(phi[2 * qubit], qubit)
        update.rz(phi[2 * qubit + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        # Even edges, then odd ones: the two halves run side by side, so a layer is two two-qubit gates deep.
        for first in (*range(0, num_qubits - 1, 2), *range(1, num_qubits - 1, 2)):
            update.rzz(next(angles), first, first + 1)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
    return MemoryCircuit(update, phi, theta)
