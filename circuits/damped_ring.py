"""The ring, each damped qubit losing a trained share of its excitation at every step: a memory that forgets.

One ancilla serves all damped qubits in turn. `XXPlusYYGate(lambda)` moves an excitation to it with probability
gamma = sin^2(lambda / 2); it is measured, which yields the qubit's emission, and reset. Without damped qubits there is
no ancilla, and the memory is the ring.
"""

from collections.abc import Sequence

from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate

from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.rate import Rate


def build(
    num_qubits: int,
    layers: int = 1,
    damped: Sequence[int] | None = None,
    rates: Sequence[float] = (0.002, 0.1),
) -> MemoryCircuit:
    """Build one update with 2n inputs, ``layers`` of the ring's phases and n rotations, and the damping.

    ``damped`` lists the qubits, by default all. Each rate starts between the two ``rates``, log-uniformly.
    """
    damped = list(range(num_qubits)) if damped is None else list(damped)
    if len(set(damped)) != len(damped) or not set(damped) <= set(range(num_qubits)):
        raise CircuitError(f"damped lists different qubits from 0 to {num_qubits - 1}, not {damped}")
    pairs = [(k, (k + 1) % num_qubits) for k in range(num_qubits if num_qubits > 2 else num_qubits - 1)]
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (len(pairs) + num_qubits))
    decay = ParameterVector("lambda", len(damped))
    ancilla = num_qubits
    update = QuantumCircuit(num_qubits + bool(damped), len(damped), name="damped_ring")
    for qubit in range(num_qubits):
        update.ry(phi[2 * qubit], qubit)
        update.rz(phi[2 * qubit + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        for first, second in pairs:
            update.rzz(next(angles), first, second)
        for qubit in range(num_qubits):
            update.rx(next(angles), qubit)
    for index, qubit in enumerate(damped):
        update.append(XXPlusYYGate(decay[index]), [qubit, ancilla])
        update.measure(ancilla, index)
        update.reset(ancilla)
    start = Rate(*rates)
    return MemoryCircuit(
        update, phi, [*theta, *decay], ancillas=[ancilla] if damped else [], rates=dict.fromkeys(decay, start)
    )
