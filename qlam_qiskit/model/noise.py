"""Noise injected while training, so that a model learns to live with a device's (QuantumNAT, arXiv 2110.11331).

Validation and test of a training have it too; it is active in training mode, and where ``in_evaluation`` is set.

A device's errors are exact: channels of a circuit that takes the memory's place (:func:`device_circuit`).

Random Pauli errors strike each sample, step and qubit on their own, and cost nothing on any backend: turning an input
angle by pi is an error. RY(a + pi) = -i RY(a) Y and RZ(b + pi) = -i RZ(b) Z, so between a rotation about Y and one
about Z on the same qubit the first angle makes Y, the second Z, and both make X. X, Y and Z of equal probability are
depolarization, which commutes with every rotation of the qubit: it does not matter which of them it stands between.

What is random is drawn from torch's generator, whose state a checkpoint keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from qiskit.circuit import Parameter, QuantumCircuit
from torch import nn

from qlam_qiskit.backends import fake_device
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import Spans, lengths_of_spans
from qlam_qiskit.planning import noisy_memory

_AXES = {"rx": "X", "ry": "Y", "rz": "Z", "p": "Z"}


class PauliNoise(nn.Module):
    """Strikes angles (B, T, H, P): each qubit in each step with a Pauli error, of probability p.

    Raises ConfigurationError for a memory whose input angles cannot make every Pauli error on every qubit.
    """

    in_evaluation = False

    def __init__(self, memory: MemoryCircuit, probability: float) -> None:
        super().__init__()
        self.register_buffer("probability", torch.tensor(probability, dtype=torch.float64))
        self._first, self._second = map(list, zip(*error_angles(memory), strict=True))

    def forward(self, angles: torch.Tensor) -> torch.Tensor:
        """Return the angles struck; in evaluation without noise, or with p = 0, the angles themselves."""
        if not (self.training or self.in_evaluation):
            return angles
        p = self.probability.item()
        if p == 0:
            return angles
        drawn = torch.rand(*angles.shape[:3], len(self._first), device=angles.device)
        # A third of p each: the first angle alone, both, the second alone.
        struck = torch.zeros_like(angles)
        struck[..., self._first] = math.pi * (drawn < p * 2 / 3).to(angles)
        struck[..., self._second] = math.pi * ((drawn >= p / 3) & (drawn < p)).to(angles)
        return angles + struck


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


def error_angles(memory: MemoryCircuit) -> list[tuple[int, int]]:
    """Find, for each qubit, two inputs whose turns by pi are Pauli errors at one place.

    They are the angles of neighbouring rotations of the qubit, about different axes, and stand nowhere else. Returns
    their indices among the inputs, earlier one first. Raises ConfigurationError naming a qubit that has none.
    """
    update = memory.update
    own = _angles_used_once(update)
    index = {parameter: k for k, parameter in enumerate(memory.inputs)}
    found: dict[int, tuple[int, int]] = {}
    before: dict[int, tuple[str, int]] = {}
    for instruction in update.data:
        qubits = [update.find_bit(qubit).index for qubit in instruction.qubits]
        axis = _AXES.get(instruction.operation.name)
        angle = instruction.operation.params[0] if axis else None
        if not isinstance(angle, Parameter) or angle not in own or angle not in index:
            for qubit in qubits:
                before.pop(qubit, None)
            continue
        (qubit,) = qubits
        if qubit in before and before[qubit][0] != axis:
            found.setdefault(qubit, (before[qubit][1], index[angle]))
        before[qubit] = axis, index[angle]
    for qubit in memory.memory_qubits:
        if qubit not in found:
            raise ConfigurationError(
                f"model.noise: no Pauli errors for this template: its qubit {qubit} lacks two neighbouring rotations "
                "about different axes by inputs that stand nowhere else, such as RY and RZ in line and ring"
            )
    return [found[qubit] for qubit in memory.memory_qubits]


def _angles_used_once(circuit: QuantumCircuit) -> set[Parameter]:
    """Return the parameters that are themselves the angle of a gate and occur in no other."""
    counts: dict[Parameter, int] = {}
    for instruction in circuit.data:
        for angle in instruction.operation.params:
            for parameter in getattr(angle, "parameters", ()):
                counts[parameter] = counts.get(parameter, 0) + 1
    return {parameter for parameter, count in counts.items() if count == 1}


def device_circuit(memory: MemoryCircuit, device: str, readout: Readout) -> MemoryCircuit:
    """Write the errors of a fake device's calibration into a memory, on the chain that suits it best.

    Raises ConfigurationError for an unknown device, and PlanningError where the memory does not fit it.
    """
    return noisy_memory(memory, fake_device(device), emissions=readout.kind == "emissions")
