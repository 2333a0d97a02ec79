"""RY and RZ of the inputs on each qubit, trainable phases around a ring, and a trainable RX on each qubit.

The ring gives every qubit two neighbours; on a heavy-hex device it needs routing, so prefer ``line`` there.
"""

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit


def build(num_qubits: int, layers: int = 1) -> MemoryCircuit:
    """Build one update with 2n inputs and, for each of ``layers``, the ring's phases and n rotations."""
    pairs = [(k, (k + 1) % num_qubits) for k in range(num_qubits if num_qubits > 2 else num_qubits - 1)]
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (len(pairs) + num_qubits))
    update = QuantumCircuit(num_qubits, name="ring")
    for qubit in range(num_qubits):
        update.ry(phi[2 * qubit], qubit)
        update.rz(phi[2 * qubit + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        for first, second in pairs:
            update.rzz(next(angles), first, second)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
    return MemoryCircuit(update, phi, theta)
