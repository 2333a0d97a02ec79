"""Bricks of controlled-Z on even, then odd pairs of neighbours, each wall followed by trainable RX and RZ.

The entangling gates have no angles: each is one native two-qubit gate of a heavy-hex device.
"""

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit, check_count


def build(num_qubits: int, layers: int = 2) -> MemoryCircuit:
    """Build one update with 2n inputs (RY, RZ) and ``layers`` walls of bricks with 2n weights each.

    With all angles at zero a wall undoes the one before it, so an even number of layers is the identity: the memory
    starts out as one that keeps what it holds.
    """
    check_count("layers", layers, 100)
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", 2 * layers * num_qubits)
    update = QuantumCircuit(num_qubits, name="brickwork")
    for qubit in range(num_qubits):
        update.ry(phi[2 * qubit], qubit)
        update.rz(phi[2 * qubit + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        for start in (0, 1):
            for first in range(start, num_qubits - 1, 2):
                update.cz(first, first + 1)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
            update.rz(next(angles), qubit)
    return MemoryCircuit(update, phi, theta)
