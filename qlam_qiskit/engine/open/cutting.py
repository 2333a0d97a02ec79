"""Cuts a batch of density matrices into blocks."""

from qlam_qiskit.engine.blocks import NARROW, Cut, cut_batch

_LARGE = 4  # qubits from which the state and lambda of a wide block leave the first level of cache


def cut_states(samples: int, registers: int, qubits: int, threads: int) -> Cut:
    """Cut a batch for the open engine: narrow blocks of large registers, else as for pure states of that size."""
    if qubits >= _LARGE:
        return Cut(samples, registers, qubits, NARROW)
    # A density matrix of n qubits takes as much room as a state of 2n - 1.
    return Cut(samples, registers, qubits, cut_batch(samples, registers, 2 * qubits - 1, threads).lanes)
