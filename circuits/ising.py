"""Transverse-field Ising evolution: trainable phases between all pairs of qubits, then a trainable field along X.

The inputs set a longitudinal field (RZ) and a kick (RY) on each qubit before the evolution.
"""

from itertools import combinations

from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.memory_circuit import MemoryCircuit, check_count


def build(num_qubits: int, layers: int = 1) -> MemoryCircuit:
    """Build one update with 2n inputs and, per layer, n(n-1)/2 couplings, n fields along Z and n along X."""
    pairs = list(combinations(range(num_qubits), 2))
    check_count("layers", layers, 100)
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (len(pairs) + 2 * num_qubits))
    update = QuantumCircuit(num_qubits, name="ising")
    for qubit in range(num_qubits):
        update.ry(phi[2 * qubit], qubit)
        update.rz(phi[2 * qubit + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        for first, second in pairs:
            update.rzz(next(angles), first, second)
        for qubit in range(num_qubits):
            update.rz(next(angles), qubit)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
    return MemoryCircuit(update, phi, theta)
