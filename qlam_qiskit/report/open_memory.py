"""The open memories of a model while they read: purity, entanglement and emissions of every register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM
from qlam_qiskit.report.memory import settled
from qlam_qiskit.report.mixed_states import fidelity_with_last, logarithmic_negativity, purity
from qlam_qiskit.report.registers import density_states, registers_reading

_MOST_WORK = 1 << 25  # of the eigenvalues of a sequence's states, 8^n each: a second or two


@dataclass(frozen=True)
class MixedTrace:
    """The state of one register at t = 0 ... T steps taken, on one circuit.

    Attributes
    ----------
    purity
        Tr(rho_t^2), (T + 1,).
    fidelities
        With the last state, (T + 1,).
    entanglement
        Logarithmic negativity of each qubit with all others, in bits, (T + 1, n).
    emissions
        The probability that each emission bit is 1, by step, (T, E).
    """

    purity: np.ndarray
    fidelities: np.ndarray
    entanglement: np.ndarray
    emissions: np.ndarray

    @property
    def settled(self) -> int:
        """The step from which on the fidelity stays above one half."""
        return settled(self.fidelities)


@dataclass(frozen=True)
class OpenTrace:
    """One register while it reads one sequence: without errors, and with those of devices by name."""

    name: str
    backwards: bool
    ideal: MixedTrace
    noisy: Mapping[str, MixedTrace]


def trace_open_memories(
    model: QLAM, tokens: np.ndarray, noisy: Mapping[str, MemoryCircuit], chosen: Sequence[int]
) -> list[list[OpenTrace]]:
    """Follow the ``chosen`` registers of a model through sequences (B, T, c) of float32 tokens; returns B lists.

    ``noisy`` are the circuit with errors in it, by the name of their device.
    """
    traces: list[list[OpenTrace]] = [[] for _ in tokens]
    for number, register in enumerate(registers_reading(model, tokens)):
        if number not in chosen:
            continue
        found: list[dict[str, MixedTrace]] = [{} for _ in tokens]
        for name, memory in {"": register.memory, **noisy}.items():
            for sample, (states, emissions) in enumerate(density_states(register, memory)):
                found[sample][name] = _look_at(states, emissions)
        for sample, own in enumerate(found):
            traces[sample].append(OpenTrace(register.name, register.backwards, own.pop(""), own))
    return traces


def _look_at(states: np.ndarray, emissions: np.ndarray) -> MixedTrace:
    """Compute a trace; what takes eigenvalues only after every so many steps where states are large."""
    steps, numbers = states.shape
    every = max(1, round(steps * numbers**1.5 / _MOST_WORK))
    index = np.arange(steps) // every
    some = np.concatenate([states[::every], states[-1:]])
    index[-1] = len(some) - 1
    return MixedTrace(purity(states), fidelity_with_last(some)[index], logarithmic_negativity(some)[index], emissions)
