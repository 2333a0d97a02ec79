"""Noise injected while training, so that a model learns to live with a device's (QuantumNAT, arXiv 2110.11331).

Random Pauli errors strike each sample, step and qubit on their own, and cost nothing on any backend: turning an input
angle by pi is an error. RY(a + pi) = -i RY(a) Y and RZ(b + pi) = -i RZ(b) Z, so between a rotation about Y and one
about Z on the same qubit the first angle makes Y, the second Z, and both make X. X, Y and Z of equal probability are
depolarization, which commutes with every rotation of the qubit: it does not matter which of them it stands between.

Everything is drawn from torch's generator, whose state a checkpoint keeps.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from qiskit.circuit import Parameter, QuantumCircuit
from torch import nn

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit

_AXES = {"rx": "X", "ry": "Y", "rz": "Z", "p": "Z"}
_PLANNED_SAMPLES = 500


class PauliNoise(nn.Module):
    """Strikes angles (B, T, H, P) in training mode: each qubit in each step with a Pauli error, of probability p.

    ``probability`` is p itself, or the name of a fake device that is asked for it, once, when training begins. Raises
    ConfigurationError for a memory whose input angles cannot make every Pauli error on every qubit.
    """

    def __init__(self, memory: MemoryCircuit, steps: int, probability: float | str) -> None:
        super().__init__()
        self._memory, self._steps = memory, steps
        self._device = probability if isinstance(probability, str) else None
        known = math.nan if self._device is not None else probability
        # In a checkpoint, so that a resumed run does not depend on the calibration that is installed by then.
        self.register_buffer("probability", torch.tensor(known, dtype=torch.float64))
        self._first, self._second = map(list, zip(*error_angles(memory), strict=True))

    def forward(self, angles: torch.Tensor) -> torch.Tensor:
        """Return the angles struck; in evaluation mode, or with p = 0, the angles themselves."""
        if not self.training:
            return angles
        if torch.isnan(self.probability):
            self.probability.fill_(error_probability(self._memory, self._steps, self._device))
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
    """Scatters readouts (..., K) in training mode as ``shots`` shots would: normal, of the same mean and variance.

    Probabilities have the multinomial distribution's covariance. Z strings are scattered one by one: that strings read
    from the same shots are correlated is left out. No gradient flows through the size of the noise.
    """

    def __init__(self, readout: Readout, shots: int) -> None:
        super().__init__()
        self._kind, self._shots = readout.kind, shots

    def forward(self, readouts: torch.Tensor) -> torch.Tensor:
        """Return the readouts scattered; in evaluation mode the readouts themselves."""
        if not self.training:
            return readouts
        with torch.no_grad():
            drawn = torch.randn_like(readouts)
            if self._kind == "z_strings":
                noise = (1 - readouts.square()).clamp(min=0).sqrt() * drawn
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


def error_probability(memory: MemoryCircuit, steps: int, device: str) -> float:
    """Return the probability of a Pauli error per qubit and step that loses as much as a fake device's gates do.

    The device's plan for many samples says which chains they would run on and how well; of the predicted loss, readout
    errors are left out, and the rest is shared equally among n qubits and T steps. Calibrations state average gate
    errors e; that a pair of qubits suffers any Pauli error has probability 5/4 e.
    """
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    from qlam_qiskit.backends import make_spec, open_backend
    from qlam_qiskit.planning import make_plan

    circuit = memory.unroll(steps, measure=True)
    inputs = set(memory.sequence_inputs(steps))
    # Angles of no special value, which no gate can be left out for.
    circuit = circuit.assign_parameters({parameter: 0.7 for parameter in circuit.parameters if parameter not in inputs})
    rows = np.full((_PLANNED_SAMPLES, circuit.num_parameters), 0.7)
    opened = open_backend(make_spec("noise", {"kind": "fake", "name": device}, "model.noise.device"))
    plan = make_plan([SamplerPub.coerce((circuit, rows, 1))], opened)
    measure = opened.backend.target["measure"]
    chains = {tile.chain for job in plan.placement.jobs for tiles in job for tile in tiles}
    readout = np.mean([sum(math.log1p(-measure[qubit,].error) for qubit in chain) for chain in chains])
    loss = readout - math.log(plan.estimated_fidelity)
    return -math.expm1(-5 / 4 * loss / (memory.num_qubits * steps))
