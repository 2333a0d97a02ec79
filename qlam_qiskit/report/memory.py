"""The memories of a model while they read: every register's entropies, overlaps and, under noise, purity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from qlam_qiskit.backends import DeviceSimulator
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, without_padding
from qlam_qiskit.report.purity import noisy_purity
from qlam_qiskit.report.states import entanglement_entropy, overlap_with_last, trajectory

MOST_AMPLITUDES = 1 << 22  # of one sequence's states: 12 qubits at 784 steps, 64 MB


@dataclass(frozen=True)
class MemoryTrace:
    """One register while it reads one sequence, at t = 0 ... T.

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
    """

    name: str
    entropies: np.ndarray
    overlaps: np.ndarray
    purities: Mapping[str, np.ndarray]

    @property
    def settled(self) -> int:
        """The step from which on the overlap stays above one half."""
        return int(np.flatnonzero(np.append(0.0, self.overlaps) <= 0.5)[-1])


@dataclass(frozen=True)
class _Register:
    name: str
    memory: MemoryCircuit
    angles: np.ndarray  # (B, T, P)
    weights: np.ndarray  # (W,)


def trace_memories(
    model: QLAM, tokens: np.ndarray, devices: Mapping[str, DeviceSimulator] | None = None
) -> list[list[MemoryTrace]]:
    """Follow every register of a model through sequences (B, T, c) of float32 tokens, each to its end; returns B lists.

    ``devices`` are those under whose noise purities are computed, by name.
    """
    traces: list[list[MemoryTrace]] = [[] for _ in tokens]
    given, lengths = without_padding(torch.from_numpy(tokens))
    steps = [tokens.shape[1]] * len(tokens) if lengths is None else lengths.tolist()
    for register in _registers(model, given, lengths):
        purities = {
            name: noisy_purity(register.memory, register.angles, register.weights, device)
            for name, device in (devices or {}).items()
        }
        for sample, states in enumerate(_states(register)):
            own = {name: purity[sample, : steps[sample] + 1] for name, purity in purities.items()}
            states = states[: steps[sample] + 1]
            trace = MemoryTrace(register.name, entanglement_entropy(states), overlap_with_last(states), own)
            traces[sample].append(trace)
    return traces


def _states(register: _Register) -> Iterator[np.ndarray]:
    """Yield the states (T + 1, D) of every sequence, computing as many at once as memory allows."""
    samples, steps, _ = register.angles.shape
    at_once = max(1, 2 * MOST_AMPLITUDES // (steps << register.memory.num_qubits))
    for start in range(0, samples, at_once):
        yield from trajectory(register.memory, register.angles[start : start + at_once], register.weights)


def _registers(model: QLAM, tokens: torch.Tensor, lengths: torch.Tensor | None) -> Iterator[_Register]:
    """Yield every register, layer by layer, with the angles that the tokens give it."""
    layers = len(model.layers)
    for number, layer in enumerate(model.layers, start=1):
        network = layer.memory.neural_network
        with torch.no_grad():
            angles = layer.angles(tokens, lengths=lengths)[0].double().numpy()
            weights = layer.memory.angles().double().numpy()
            if number < layers:
                tokens = layer(tokens, lengths=lengths)
        for register in range(network.registers):
            parts = [f"layer {number}"] * (layers > 1) + [f"register {register + 1}"] * (network.registers > 1)
            yield _Register(", ".join(parts), network.memory, angles[:, :, register], weights[register])
