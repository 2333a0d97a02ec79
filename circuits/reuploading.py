"""Data re-uploading: the inputs enter again before every layer of trainable phases and rotations.

Uploading the same angles several times makes the update's response to a token richer than one rotation can be
(Perez-Salinas et al., Quantum 4, 226, 2020).
"""

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit, check_count


def build(num_qubits: int, layers: int = 2) -> MemoryCircuit:
    """Build one update with 2n inputs, repeated before each of ``layers`` layers of n-1 phases and 2n rotations."""
    check_count("layers", layers, 100)
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (3 * num_qubits - 1))
    update = QuantumCircuit(num_qubits, name="reuploading")
    angles = iter(theta)
    for _ in range(layers):
        for qubit in range(num_qubits):
            update.ry(phi[2 * qubit], qubit)
            update.rz(phi[2 * qubit + 1], qubit)
        for qubit in range(num_qubits - 1):
            update.rzz(next(angles), qubit, qubit + 1)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
            update.ry(next(angles), qubit)
    return MemoryCircuit(update, phi, theta)
