"""The angles of a circuit's groups as columns of one tensor: one matrix product for all samples, steps and registers.

Angles that are not affine in the inputs are evaluated on the host in float64 before the run, and their columns copied.
Inputs may be an array, or a tensor that stays where it is; their gradient is then the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, affine_part, parameters_of
from qlam_qiskit.engine.arguments import Arguments, beside
from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.memory_circuit import MemoryCircuit


def check_arguments(
    memory: MemoryCircuit,
    inputs: np.ndarray | torch.Tensor,
    weights: np.ndarray,
    queries: np.ndarray,
    readout_steps: Sequence[int] | np.ndarray | None,
) -> Arguments:
    """Check as :meth:`Arguments.check` does; inputs that are a tensor stay one. Raises CircuitError."""
    if not isinstance(inputs, torch.Tensor):
        return Arguments.check(memory, inputs, weights, queries, readout_steps)
    of_that_shape = np.broadcast_to(np.float32(0), tuple(inputs.shape))
    return replace(Arguments.check(memory, of_that_shape, weights, queries, readout_steps), inputs=inputs.detach())


class AngleColumns:
    """A angles as functions of P inputs and W weights, on a device and in its precision."""

    def __init__(
        self,
        angles: Sequence[Angle],
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._device, self._dtype = device, dtype
        self._evaluated: AngleFunctions | None = None
        splits = [affine_part(angle, inputs) for angle in angles]
        rests: list[Angle]
        if None in splits:
            turned = [k for k, angle in enumerate(angles) if not parameters_of(angle).isdisjoint(inputs)]
            self._evaluated = AngleFunctions([angles[k] for k in turned], (*inputs, *weights))
            matrix = np.zeros((len(angles), len(turned)))
            matrix[turned, range(len(turned))] = 1.0
            rests = [0.0 if k in turned else angle for k, angle in enumerate(angles)]
        else:
            place = {parameter: k for k, parameter in enumerate(inputs)}
            matrix = np.zeros((len(angles), len(inputs)))
            rests = []
            for row, (factors, rest) in enumerate(splits):
                matrix[row, [place[parameter] for parameter in factors]] = list(factors.values())
                rests.append(rest)
        self._matrix = torch.from_numpy(matrix).to(device, dtype)
        self._rests = AngleFunctions(rests, weights)

    def __len__(self) -> int:
        return len(self._rests)

    def values(self, inputs: np.ndarray | torch.Tensor, weights: np.ndarray) -> torch.Tensor:
        """Evaluate at inputs (..., P) and weights that broadcast to (..., W); returns (..., A) on the device."""
        if self._evaluated is not None:
            inputs = self._evaluated(beside(_array(inputs), weights))
        given = inputs if isinstance(inputs, torch.Tensor) else torch.from_numpy(np.array(inputs, order="C"))
        terms = given.to(self._device, self._dtype) @ self._matrix.T
        return terms.add_(torch.from_numpy(self._rests(weights)).to(self._device, self._dtype))

    def pull_back(
        self, inputs: np.ndarray | torch.Tensor, weights: np.ndarray, gradient: torch.Tensor
    ) -> tuple[np.ndarray | torch.Tensor, np.ndarray]:
        """Carry dL/d(angles) (..., A) to the inputs (..., P), and to the weights in float64, summed to their shape."""
        lead = tuple(range(gradient.ndim - weights.ndim))
        totals = gradient.sum(lead, dtype=torch.float64) if lead else gradient.double()
        of_weights = self._rests.pull_back(weights, totals.cpu().numpy())
        columns, is_tensor = gradient @ self._matrix, isinstance(inputs, torch.Tensor)
        if self._evaluated is None and is_tensor:
            return columns, of_weights
        of_inputs = np.ascontiguousarray(columns.cpu().numpy())
        if self._evaluated is None:
            return of_inputs, of_weights
        both = self._evaluated.pull_back(beside(_array(inputs), weights), of_inputs)
        split = inputs.shape[-1]
        of_inputs = np.ascontiguousarray(both[..., :split], of_inputs.dtype)
        of_weights = of_weights + both[..., split:].sum(axis=lead)
        return torch.from_numpy(of_inputs).to(self._device) if is_tensor else of_inputs, of_weights


def _array(inputs: np.ndarray | torch.Tensor) -> np.ndarray:
    return inputs.cpu().numpy() if isinstance(inputs, torch.Tensor) else inputs
