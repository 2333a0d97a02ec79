"""The angles of a circuit's groups as columns of one tensor: one matrix product for all samples, steps and registers.

Angles that are not affine in the inputs are evaluated on the host in float64 before the run, and their columns copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from qiskit.circuit import Parameter

from qlam_qiskit.engine.angles import AngleFunctions, affine_part, parameters_of
from qlam_qiskit.engine.arguments import beside
from qlam_qiskit.engine.primitives import Angle


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

    def values(self, inputs: np.ndarray, weights: np.ndarray) -> torch.Tensor:
        """Evaluate at inputs (..., P) and weights that broadcast to (..., W); returns (..., A) on the device."""
        if self._evaluated is not None:
            inputs = self._evaluated(beside(inputs, weights))
        terms = torch.from_numpy(np.array(inputs, order="C")).to(self._device, self._dtype) @ self._matrix.T
        return terms.add_(torch.from_numpy(self._rests(weights)).to(self._device, self._dtype))

    def pull_back(
        self, inputs: np.ndarray, weights: np.ndarray, gradient: torch.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Carry dL/d(angles) (..., A) to the inputs (..., P), and to the weights in float64, summed to their shape."""
        lead = tuple(range(gradient.ndim - weights.ndim))
        totals = gradient.sum(lead, dtype=torch.float64) if lead else gradient.double()
        of_weights = self._rests.pull_back(weights, totals.cpu().numpy())
        of_inputs = (gradient @ self._matrix).cpu().numpy()
        if self._evaluated is None:
            return of_inputs, of_weights
        both = self._evaluated.pull_back(beside(inputs, weights), of_inputs)
        split = inputs.shape[-1]
        return both[..., :split].astype(of_inputs.dtype), of_weights + both[..., split:].sum(axis=lead)
