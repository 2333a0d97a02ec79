"""The memory as a torch module: a ``TorchConnector`` that carries the cotangent through instead of Jacobians.

The stock connector asks the network for d(outputs)/d(inputs) of every sample, K times the work, and copies through
float64. This one keeps the forward pass's tape and multiplies with the cotangent once; tensors and arrays share memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.connectors import TorchConnector
from torch.autograd.function import once_differentiable

from qlam_qiskit.errors import CircuitError
from qlam_qiskit.network.memory import MemoryNetwork


class _VectorJacobian(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, angles: torch.Tensor, weights: torch.Tensor, queries: torch.Tensor, network: MemoryNetwork
    ) -> torch.Tensor:
        ctx.network = network
        # The tape shares the tensors' memory: torch refuses to differentiate if they were changed in place meanwhile.
        ctx.save_for_backward(angles, weights, queries)
        values, ctx.tape = network.run(*(part.detach().cpu().numpy() for part in (angles, weights, queries)))
        return torch.from_numpy(np.ascontiguousarray(values)).to(angles)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *_, queries = ctx.saved_tensors
        gradients = ctx.network.pull_back(ctx.tape, cotangent.detach().cpu().numpy())
        tensors = [
            torch.from_numpy(np.ascontiguousarray(part)).to(cotangent)
            for part in (gradients.inputs, gradients.weights, gradients.queries)
        ]
        tensors[2] = tensors[2].sum_to_size(queries.shape)
        return (*tensors, None)


class MemoryConnector(TorchConnector):
    """A trainable memory: ``weight`` holds theta', and the circuit turns by theta = weight_scale * theta'.

    The weights act once a step, so a small change of one turns the final state T times as far; the scale gives them the
    time scale of the inputs. A weight that is a rate gamma = 1 / (1 + exp(-theta')) is the angle of gamma instead
    (:class:`~qlam_qiskit.rate.Rate`). Call it with flat inputs (B, num_inputs) like any TorchConnector, or with angles
    (B, T, H, P) and queries (B or 1, R or 1, H, Q, A). Readouts come back flat (B, R*H*Q*K) from flat inputs, and as
    (B, R, H, Q, K) otherwise.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        *,
        initial_weights: np.ndarray | torch.Tensor | None = None,
        weight_scale: float = 1.0,
    ) -> None:
        super().__init__(network, initial_weights=initial_weights)
        # The base class registers its one parameter under two names; a state_dict should hold it once.
        del self._parameters["weight"]
        self.weight_scale = weight_scale
        memory = network.memory
        rates = torch.tensor([weight in memory.rates for weight in memory.weights], dtype=torch.bool)
        self.register_buffer("_is_rate", rates if memory.rates else None, persistent=False)

    def angles(self) -> torch.Tensor:
        """Return theta, the angles (H, W) that the circuit turns by."""
        trained = self.neural_network.split_weights(self._weights)
        angles = trained * self.weight_scale
        if self._is_rate is None:
            return angles
        # 2 asin(sqrt(gamma)) = 2 atan(exp(g / 2)), written so that neither it nor its slope overflows.
        of_rates = torch.pi / 2 + 2 * torch.atan(torch.tanh(trained.double() / 4))
        return torch.where(self._is_rate, of_rates.to(angles), angles)

    def forward(self, input_data: torch.Tensor, queries: torch.Tensor | None = None) -> torch.Tensor:
        """Run the memory; see the class for shapes."""
        network: MemoryNetwork = self.neural_network
        weights = self.angles().to(input_data.dtype)
        if queries is not None:
            return _VectorJacobian.apply(input_data, weights, queries, network)
        if input_data.shape[-1] != network.num_inputs:
            shape = tuple(input_data.shape)
            raise CircuitError(f"inputs without queries are flat, (..., {network.num_inputs}), not {shape}")
        batch = input_data.reshape(-1, network.num_inputs)
        angles, queries = network.split_inputs(batch)
        values = _VectorJacobian.apply(angles, weights, queries, network)
        return values.reshape(*input_data.shape[:-1], *network.output_shape)
