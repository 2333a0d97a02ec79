"""Noise injected while training, so that a model learns to live with a device's (QuantumNAT, arXiv 2110.11331).

Validation and test of a training have it too; it is active in training mode, and where ``in_evaluation`` is set.

Errors are exact: channels of a circuit that takes the memory's place, those of a device (:func:`device_circuit`) or
depolarization (:func:`depolarized_circuit`). Only the scatter of shots is random: it is drawn from torch's generator,
whose state a checkpoint keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from qiskit.quantum_info import Kraus, Pauli
from torch import nn

from qlam_qiskit.backends import fake_device
from qlam_qiskit.engine import Readout
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import Spans, lengths_of_spans
from qlam_qiskit.planning import noisy_memory


class ShotNoise(nn.Module):
    """Scatters readouts (..., K) as ``shots`` shots would: normal, of the same mean and variance.

    Probabilities have the multinomial distribution's covariance. Z strings are scattered one by one: that strings read
    from the same shots are correlated is left out, and so is that emissions of different steps are. No gradient flows
    through the size of the noise. Takes readouts (B, R, H, Q, K) of emissions, read after ``readout_steps``, or after
    ``times`` (B, R) of each sample.
    """

    in_evaluation = False

    def __init__(self, readout: Readout, shots: int, readout_steps: Sequence[int] = ()) -> None:
        super().__init__()
        self._kind, self._shots = readout.kind, shots
        self._lengths = Spans.of(readout_steps).lengths.tolist() if readout.kind == "emissions" else None

    def forward(self, readouts: torch.Tensor, times: np.ndarray | None = None) -> torch.Tensor:
        """Return the readouts scattered; in evaluation without noise the readouts themselves."""
        if not (self.training or self.in_evaluation):
            return readouts
        with torch.no_grad():
            drawn = torch.randn_like(readouts)
            if self._kind == "z_strings":
                noise = (1 - readouts.square()).clamp(min=0).sqrt() * drawn
            elif self._kind == "emissions":
                spans = self._lengths if times is None else lengths_of_spans(times).tolist()
                lengths = readouts.new_tensor(spans)[..., None, None, None]
                noise = (readouts * (1 - readouts) / lengths).clamp(min=0).sqrt() * drawn
            else:
                outcomes = readouts.shape[-1]
                p = ((readouts + 1) / outcomes).clamp(min=0)
                spread = p.sqrt() * drawn
                noise = outcomes * (spread - p * spread.sum(-1, keepdim=True))
        return readouts + noise / math.sqrt(self._shots)


def depolarized_circuit(memory: MemoryCircuit, probability: float) -> MemoryCircuit:
    """Let X, Y or Z strike each qubit of a memory after each step, each with a third of the probability."""
    shares = {"I": 1 - probability, **dict.fromkeys("XYZ", probability / 3)}
    errors = Kraus([math.sqrt(share) * Pauli(label).to_matrix() for label, share in shares.items()]).to_instruction()
    update = memory.update.copy()
    for qubit in memory.memory_qubits:
        update.append(errors, [qubit])
    return replace(memory, update=update)


def device_circuit(memory: MemoryCircuit, device: str, readout: Readout) -> MemoryCircuit:
    """Write the errors of a fake device's calibration into a memory, on the chain that suits it best.

    Raises ConfigurationError for an unknown device, and PlanningError where the memory does not fit it.
    """
    return noisy_memory(memory, fake_device(device), emissions=readout.kind == "emissions")
