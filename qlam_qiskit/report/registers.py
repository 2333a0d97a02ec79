"""The registers of a model as they read given tokens: their circuit, and the angles that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from qlam_qiskit.engine import open_trajectory
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, without_padding

MOST_NUMBERS = 1 << 22  # of the states of one sequence: 12 qubits at 784 steps, 6 where there are channels


@dataclass(frozen=True)
class Register:
    """One quantum memory while it reads B sequences.

    Attributes
    ----------
    name
        Which it is, "" where there is only one.
    backwards
        Whether it reads from the last token to the first.
    memory
        Its circuit.
    angles
        Of its inputs in the order in which it reads, (B, T, P) (radians), T being the length of the longest sequence.
    lengths
        Of the sequences, (B,); what follows in ``angles`` is padding.
    weights
        Its trained angles, (W,) (radians).
    """

    name: str
    backwards: bool
    memory: MemoryCircuit
    angles: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray


def registers_reading(model: QLAM, tokens: np.ndarray) -> Iterator[Register]:
    """Yield every register of a model, layer by layer, as it reads tokens (B, T, c), shorter ones ending in NaN."""
    layers = len(model.layers)
    read, given = without_padding(torch.from_numpy(tokens))
    lengths = np.full(len(tokens), tokens.shape[1]) if given is None else given.numpy()
    longest = int(lengths.max(initial=0))
    for number, layer in enumerate(model.layers, start=1):
        network = layer.memory.neural_network
        with torch.no_grad():
            angles = layer.angles(read, lengths=given)[0][:, :longest].double().numpy()
            weights = layer.memory.angles().double().numpy()
            if number < layers:
                read = layer(read, lengths=given)
        for index in range(network.registers):
            backwards = index >= layer.forward_registers
            parts = [f"layer {number}"] * (layers > 1) + [f"register {index + 1}"] * (network.registers > 1)
            parts += ["backwards"] * backwards
            name = ", ".join(parts)
            yield Register(name, backwards, network.memory, angles[:, :, index], lengths, weights[index])


def density_states(register: Register, memory: MemoryCircuit) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the density matrices of every sequence on ``memory``, which takes the place of the register's circuit.

    They are Pauli strings' numbers (T_i + 1, 4^n), each with the emissions (T_i, E); see
    :func:`~qlam_qiskit.engine.open_trajectory`. As many are computed at once as memory allows.
    """
    samples, steps, _ = register.angles.shape
    at_once = max(1, 2 * MOST_NUMBERS // (steps << 2 * memory.num_qubits))
    for start in range(0, samples, at_once):
        found = open_trajectory(memory, register.angles[start : start + at_once], register.weights)
        own = register.lengths[start : start + at_once]
        for states, emissions, length in zip(*found, own, strict=True):
            yield states[: length + 1], emissions[:length]
