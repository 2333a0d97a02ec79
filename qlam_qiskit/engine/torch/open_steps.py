"""Steps of an open circuit on a device: one after the other, each of one operation a layer over all samples.

States are (H, B, N), N = 4^n numbers. The matrices of all steps of a chunk are made at once from their angles, and so
are, backward, the gradients of these matrices, from the states before and the adjoints after each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.circuit import Parameter

from qlam_qiskit.engine.open.plan import OpenPlan
from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.engine.torch.open_layers import PairLayer, SharedLayer, WindowLayer, layers_of, turn_matrices
from qlam_qiskit.engine.torch.shared_matrix import SharedMatrix, SharedValues
from qlam_qiskit.engine.torch.step_states import Entering, LayerStates


class _Window:
    """Small matrices on neighbouring qubits, one for each sample and step."""

    def __init__(self, layer: WindowLayer, columns: slice, num_qubits: int, like: torch.Tensor) -> None:
        self.columns = columns
        # Turns of single qubits are multiplied qubit by qubit, which takes less room, and joined at the end.
        alone = all(len(turn.qubits) == 1 for turn in layer.operations)
        parts = [(layer.first + k, 1) for k in range(layer.count)] if alone else [(layer.first, layer.count)]
        self._factors = [_Product.of(layer, first, count, like) for first, count in parts]
        self.numbers = 4 ** (2 * layer.count) * (2 if alone else 4 * len(layer.operations))
        self._shape = (4 ** (num_qubits - layer.first - layer.count), 4**layer.count, 4**layer.first)

    def coefficients(self, angles: torch.Tensor) -> torch.Tensor:
        """Multiply the turns of angles (S, H, B, A) to one matrix each, (S, H B, K, K)."""
        angles = angles.flatten(1, 2)
        result = self._factors[0].matrix(angles)
        for factor in self._factors[1:]:
            result = _kronecker(factor.matrix(angles), result)
        return result

    def apply(self, states: torch.Tensor, matrices: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        """Multiply states (H, B, N) with matrices (H B, K, K)."""
        above, own, below = self._shape
        if transposed:
            matrices = matrices.mT
        if below == 1:
            result = torch.bmm(states.reshape(-1, above, own), matrices.mT)
        elif above == 1:
            result = torch.bmm(matrices, states.reshape(-1, own, below))
        else:
            result = matrices[:, None] @ states.reshape(-1, above, own, below)
        return result.view_as(states)

    def gradient(self, before: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the coefficients of S steps from the states before and lambda after, (S, H, B, N)."""
        above, own, below = self._shape
        r, adjoint = (part.reshape(-1, above, own, below).transpose(1, 2).flatten(2) for part in (before, adjoints))
        return torch.bmm(adjoint, r.mT).view(len(before), -1, own, own)


@dataclass(frozen=True)
class _Product:
    """A product of turns on a few qubits: each is 1 + (cos(t) - 1) A + sin(t) G, with its place among the angles."""

    places: list[int]
    turned: list[torch.Tensor]
    generators: list[torch.Tensor]
    one: torch.Tensor

    @classmethod
    def of(cls, layer: WindowLayer, first: int, count: int, like: torch.Tensor) -> _Product:
        """Take those turns of a layer that act on ``count`` qubits from ``first`` on."""
        qubits = set(range(first, first + count))
        places = [k for k, turn in enumerate(layer.operations) if turn.qubits <= qubits]
        parts = [turn_matrices(layer.operations[k], first, count) for k in places]
        turned, generators = ([torch.from_numpy(pair[k]).to(like) for pair in parts] for k in (0, 1))
        return cls(places, turned, generators, torch.eye(4**count).to(like))

    def matrix(self, angles: torch.Tensor) -> torch.Tensor:
        """Multiply the turns of angles (..., A): (..., 4^k, 4^k)."""
        result = self.one.expand(*angles.shape[:-1], -1, -1)
        for place, turned, generator in zip(self.places, self.turned, self.generators, strict=True):
            angle = angles[..., place, None, None]
            result = result + ((angle.cos() - 1) * turned + angle.sin() * generator) @ result
        return result


def _kronecker(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Join matrices on high and low qubits, (..., K, K) and (..., L, L), to (..., K L, K L)."""
    joined = high[..., :, None, :, None] * low[..., None, :, None, :]
    return joined.flatten(-4, -3).flatten(-2, -1)


class _Pairs:
    """A turn about any string, by cos(t) - 1 and sin(t) of each sample and step: (S, H, B, 2)."""

    numbers = 2

    def __init__(self, layer: PairLayer, columns: slice, num_qubits: int, like: torch.Tensor) -> None:
        self.columns = columns
        turned, generator = turn_matrices(layer.operations[0], 0, num_qubits)
        partner = np.arange(len(turned)) ^ layer.operations[0].string
        self._partner = torch.from_numpy(partner).to(like.device)
        self._signs = torch.from_numpy(generator[np.arange(len(turned)), partner]).to(like)
        self._turned = torch.from_numpy(np.diagonal(turned).copy()).to(like)

    def coefficients(self, angles: torch.Tensor) -> torch.Tensor:
        return torch.cat([angles.cos() - 1, angles.sin()], dim=-1)

    def apply(self, states: torch.Tensor, numbers: torch.Tensor, transposed: bool = False) -> torch.Tensor:
        cosine, sine = numbers[..., :1], numbers[..., 1:]
        turned = states[..., self._partner] * self._signs * sine
        return states + cosine * self._turned * states + (-turned if transposed else turned)

    def gradient(self, before: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
        cosine = (adjoints * self._turned * before).sum(-1)
        return torch.stack([cosine, (adjoints * self._signs * before[..., self._partner]).sum(-1)], dim=-1)


class OpenSteps:
    """One circuit's steps on a device, in its precision; ``angles`` are those that inputs change, in their order."""

    def __init__(self, plan: OpenPlan, weights: Sequence[Parameter], device: torch.device, dtype: torch.dtype) -> None:
        self.size = 4**plan.num_qubits
        self.angles: list[Angle] = []
        self.shared: dict[int, SharedMatrix] = {}  # by the number of their layer
        self._layers: list[_Window | _Pairs | None] = []
        like = torch.empty(0, device=device, dtype=dtype)
        for layer in layers_of(plan):
            if isinstance(layer, SharedLayer):
                matrix = SharedMatrix(layer.operations, plan.num_qubits, weights, device)
                self.shared[len(self._layers)] = matrix
                self._layers.append(None)
                continue
            columns = slice(len(self.angles), len(self.angles) + len(layer.operations))
            self.angles.extend(turn.angle for turn in layer.operations)
            kind = _Window if isinstance(layer, WindowLayer) else _Pairs
            self._layers.append(kind(layer, columns, plan.num_qubits, like))
        self._dtype = dtype

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def numbers(self) -> int:
        """Numbers that a step of one sample holds at work, approximately, backward: states, adjoints, matrices."""
        made = sum(layer.numbers for layer in self._layers if layer)
        return 2 * (len(self._layers) + 1) * self.size + made + 100 * len(self.angles)

    def share(self, weights: np.ndarray) -> dict[int, SharedValues]:
        """Make the matrices that all samples and steps share from weights (H, W)."""
        return {number: matrix.values(weights) for number, matrix in self.shared.items()}

    def matrices(self, shared: dict[int, SharedValues]) -> dict[int, torch.Tensor]:
        """Return the matrices (H, N, N) in the states' precision."""
        return {number: values.matrix.to(self._dtype) for number, values in shared.items()}

    def forward(self, states: torch.Tensor, angles: torch.Tensor, matrices: dict[int, torch.Tensor]) -> LayerStates:
        """Run S steps of angles (S, H, B, A)."""
        coefficients = _by_step(self._coefficients(angles))
        tape = []
        for step in range(len(angles)):
            kept = [states]
            for number, layer in enumerate(self._layers):
                if layer is None:
                    states = torch.bmm(states, matrices[number].mT)
                else:
                    states = layer.apply(states, coefficients[number][step])
                kept.append(states)
            tape.append(kept)
        return LayerStates(tape)

    def backward(
        self,
        adjoint: torch.Tensor,
        angles: torch.Tensor,
        matrices: dict[int, torch.Tensor],
        states: LayerStates,
        entering: Entering,
        gradients: dict[int, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Carry lambda back through S steps; returns it, and the gradient of the angles (S, H, B, A).

        ``states`` are those of the same steps forward. The gradients of the shared matrices are added to
        ``gradients``, in float64.
        """
        with torch.enable_grad():
            leaf = angles.detach().requires_grad_()
            coefficients = self._coefficients(leaf)
        adjoint, adjoints = self._walk_back(adjoint, matrices, _by_step(coefficients), len(angles), entering)
        products, received = [], []
        for number, layer in enumerate(self._layers):
            before = states.before(number, range(len(angles)))
            after = torch.stack([step[number] for step in adjoints])
            if layer is None:
                r, slope = (part.transpose(0, 1).flatten(1, 2) for part in (before, after))
                gradients[number] += torch.bmm(slope.mT, r)
            else:
                products.append(coefficients[number])
                received.append(layer.gradient(before, after))
        if not products:
            return adjoint, torch.zeros_like(angles)
        with torch.autograd.set_multithreading_enabled(False):  # torch's own threads have no context of CUDA's yet
            return adjoint, torch.autograd.grad(products, leaf, received)[0]

    def _walk_back(
        self,
        adjoint: torch.Tensor,
        matrices: dict[int, torch.Tensor],
        coefficients: list[Sequence[torch.Tensor]],
        steps: int,
        entering: Entering,
    ) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
        """Return lambda before the first step, and for each step lambda after every layer."""
        adjoints = [[adjoint] * len(self._layers) for _ in range(steps)]
        for step in range(steps - 1, -1, -1):
            adjoint = entering.at_end(step, adjoint)
            for number in range(len(self._layers) - 1, -1, -1):
                adjoints[step][number] = adjoint
                layer = self._layers[number]
                if layer is None:
                    adjoint = torch.bmm(adjoint, matrices[number])
                else:
                    adjoint = layer.apply(adjoint, coefficients[number][step], transposed=True)
                adjoint = entering.before(step, number, adjoint)
        return adjoint, adjoints

    def _coefficients(self, angles: torch.Tensor) -> list[torch.Tensor | None]:
        return [layer and layer.coefficients(angles[..., layer.columns]) for layer in self._layers]


def _by_step(coefficients: list[torch.Tensor | None]) -> list[Sequence[torch.Tensor]]:
    """Take the coefficients of each layer apart by steps, outside of torch's differentiation."""
    return [() if part is None else part.detach().unbind() for part in coefficients]
