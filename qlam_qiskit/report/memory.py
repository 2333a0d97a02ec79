"""The unitary memories of a model while they read: every register's entropies, overlaps and, under noise, purity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM
from qlam_qiskit.report.mixed_states import purity
from qlam_qiskit.report.registers import MOST_NUMBERS, Register, density_states, registers_reading
from qlam_qiskit.report.states import entanglement_entropy, overlap_with_last, trajectory


@dataclass(frozen=True)
class MemoryTrace:
    """One register while it reads one sequence, at t = 0 ... T steps taken.

    Attributes
    ----------
    name
        Which register it is, "" where there is only one.
    entropies
        Entanglement entropy of each qubit with all others, in bits, (T + 1, n).
    overlaps
        |<psi_t|psi_T>|^2, (T + 1,).
    purities
        Tr(rho_t^2) under the noise of devices, by device name, each (T + 1,).
    backwards
        Whether it reads from the last token to the first.
    """

    name: str
    entropies: np.ndarray
    overlaps: np.ndarray
    purities: Mapping[str, np.ndarray]
    backwards: bool = False

    @property
    def settled(self) -> int:
        """The step from which on the overlap stays above one half."""
        return settled(self.overlaps)


def settled(overlaps: np.ndarray) -> int:
    """Return the step from which on overlaps with the last state (T + 1,) stay above one half."""
    return int(np.flatnonzero(np.append(0.0, overlaps) <= 0.5)[-1])


def trace_memories(
    model: QLAM, tokens: np.ndarray, noisy: Mapping[str, MemoryCircuit] | None = None
) -> list[list[MemoryTrace]]:
    """Follow every register of a model through sequences (B, T, c) of float32 tokens, each to its end; returns B lists.

    ``noisy`` are the circuit with errors in it for which purities are computed, by the name of their device.
    """
    traces: list[list[MemoryTrace]] = [[] for _ in tokens]
    for register in registers_reading(model, tokens):
        purities: list[dict[str, np.ndarray]] = [{} for _ in tokens]
        for name, memory in (noisy or {}).items():
            for sample, (states, _) in enumerate(density_states(register, memory)):
                purities[sample][name] = purity(states)
        for sample, states in enumerate(_states(register)):
            traces[sample].append(
                MemoryTrace(
                    register.name,
                    entanglement_entropy(states),
                    overlap_with_last(states),
                    purities[sample],
                    register.backwards,
                )
            )
    return traces


def _states(register: Register) -> Iterator[np.ndarray]:
    """Yield the states (T_i + 1, D) of every sequence, computing as many at once as memory allows."""
    samples, steps, _ = register.angles.shape
    at_once = max(1, 2 * MOST_NUMBERS // (steps << register.memory.num_qubits))
    for start in range(0, samples, at_once):
        found = trajectory(register.memory, register.angles[start : start + at_once], register.weights)
        for states, length in zip(found, register.lengths[start : start + at_once], strict=True):
            yield states[: length + 1]
