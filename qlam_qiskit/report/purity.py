"""How mixed a device's noise leaves the memory: Tr(rho_t^2) after every step, by density matrices on Aer."""

from __future__ import annotations

import numpy as np
import qiskit_aer.library  # noqa: F401  # gives circuits save_density_matrix
from qiskit import QuantumCircuit
from qiskit.transpiler import Target, generate_preset_pass_manager

from qlam_qiskit.backends import DeviceSimulator, part_of_target
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.planning import typical_chain

MAX_STEPS, MAX_QUBITS = 49, 6
_STEP = "end of step"  # the label of our barriers: a template may have its own


def noisy_purity(memory: MemoryCircuit, angles: np.ndarray, weights: np.ndarray, device: DeviceSimulator) -> np.ndarray:
    """Return Tr(rho_t^2) for t = 0 ... T of sequences, (B, T + 1).

    angles (B, T, P) and weights (W,) in radians. The circuit is transpiled for the device's best chain of n qubits,
    with a barrier after every step so that each step ends in a state of its own, and runs under the noise of the
    device's calibration. Raises PlanningError when the device has no such chain.
    """
    samples, steps, _ = angles.shape
    chain = typical_chain(memory.num_qubits, device.target)
    small = _transpiled(memory, steps, part_of_target(device.target, chain))
    saving = QuantumCircuit(device.target.num_qubits)
    step = 0
    for instruction in small.data:
        qubits = [chain[small.find_bit(qubit).index] for qubit in instruction.qubits]
        if instruction.label == _STEP:
            saving.save_density_matrix(list(chain), label=f"step{step}")
            step += 1
        else:
            saving.append(instruction.operation, qubits)
    theta = dict(zip(memory.weights, weights, strict=True))
    phi = memory.sequence_inputs(steps)
    bound = [saving.assign_parameters({**theta, **dict(zip(phi, row.ravel(), strict=True))}) for row in angles]
    # Shots are not drawn from; at least 2^n of them make the simulator choose density matrices.
    result = device.run(bound, shots=1 << memory.num_qubits).result()
    purity = np.ones((samples, steps + 1))
    for sample in range(samples):
        states = [np.asarray(result.data(sample)[f"step{step}"]) for step in range(steps)]
        purity[sample, 1:] = [np.sum(np.abs(state) ** 2) for state in states]
    return purity


def _transpiled(memory: MemoryCircuit, steps: int, target: Target) -> QuantumCircuit:
    """Write out a sequence with a barrier after every step, in the gates of a device's ``target`` of n qubits."""
    unrolled = memory.unroll(steps, query=False)
    gates = len(unrolled.data) // steps  # of one step: every step has the same
    circuit = unrolled.copy_empty_like()
    for position, instruction in enumerate(unrolled.data, start=1):
        circuit.append(instruction)
        if position % gates == 0:
            circuit.barrier(label=_STEP)
    return generate_preset_pass_manager(3, target=target, seed_transpiler=0).run(circuit)
