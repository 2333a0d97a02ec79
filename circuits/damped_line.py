"""The line with an ancilla at its end, to which the qubit beside it loses a trained share of its excitation each step.

All gates act on nearest neighbours, ancillas included, so that a heavy-hex device needs no routing. Damped are the
line's last qubit, its first, or both: those that an ancilla can stand beside. As in ``damped_ring``, `XXPlusYYGate`
moves the excitation, and the ancilla is measured and reset. Without damped qubits the memory is the line.
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
    """Build one update with 2n inputs, ``layers`` of n-1 phases and n rotations, and the damping.

    ``damped`` lists qubits out of 0 and n-1, by default the last. Each rate starts between the two ``rates``,
    log-uniformly.
    """
    ends = sorted({0, num_qubits - 1})
    damped = [num_qubits - 1] if damped is None else sorted(damped)
    if len(set(damped)) != len(damped) or not set(damped) <= set(ends):
        raise CircuitError(f"damped lists different ends of the line, out of {ends}, not {damped}")
    # The chain: an ancilla before the first qubit if that is damped, the line, an ancilla after it if the last one is.
    before = 0 in damped and num_qubits > 1
    ancillas = [0] * before + [num_qubits + before] * (num_qubits - 1 in damped)
    line = range(before, num_qubits + before)
    phi = ParameterVector("phi", 2 * num_qubits)
    theta = ParameterVector("theta", layers * (2 * num_qubits - 1))
    decay = ParameterVector("lambda", len(damped))
    update = QuantumCircuit(num_qubits + len(ancillas), len(damped), name="damped_line")
    for index, qubit in enumerate(line):
        update.ry(phi[2 * index], qubit)
        update.rz(phi[2 * index + 1], qubit)
    angles = iter(theta)
    for _ in range(layers):
        # Even edges, then odd ones: the two halves run side by side, so a layer is two two-qubit gates deep.
        for first in (*line[0:-1:2], *line[1:-1:2]):
            update.rzz(next(angles), first, first + 1)
        for qubit in line:
            update.rx(next(angles), qubit)
    for index, (qubit, ancilla) in enumerate(zip(damped, ancillas, strict=True)):
        update.append(XXPlusYYGate(decay[index]), [line[qubit], ancilla])
        update.measure(ancilla, index)
        update.reset(ancilla)
    start = Rate(*rates)
    return MemoryCircuit(update, phi, [*theta, *decay], ancillas=ancillas, rates=dict.fromkeys(decay, start))
