"""The memory as a torch module: a ``TorchConnector`` that carries the cotangent through instead of Jacobians.

The stock connector asks the network for d(outputs)/d(inputs) of every sample, K times the work, and copies through
float64. This one keeps the forward pass's tape and multiplies with the cotangent once; tensors and arrays share memory.
Where gradients are to be differentiated again (``create_graph=True``), or torch.func is at work, operations of torch
compute them.
"""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.connectors import TorchConnector

from qlam_qiskit.errors import CircuitError
from qlam_qiskit.network.memory import MemoryNetwork


class _VectorJacobian(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        angles: torch.Tensor,
        weights: torch.Tensor,
        queries: torch.Tensor,
        network: MemoryNetwork,
        times: np.ndarray | None,
    ) -> torch.Tensor:
        ctx.network, ctx.times = network, times
        # The tape shares the tensors' memory: torch refuses to differentiate if they were changed in place meanwhile.
        ctx.save_for_backward(angles, weights, queries)
        arrays = (part.detach().cpu().numpy() for part in (angles, weights, queries))
        values, ctx.tape = network.run(*arrays, times)
        return torch.from_numpy(np.ascontiguousarray(values)).to(angles)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        *_, queries = arguments = ctx.saved_tensors
        if torch.is_grad_enabled() and any(part.requires_grad for part in (cotangent, *arguments)):
            return (*_graph_of_gradients(ctx.network, arguments, cotangent, ctx.times), None, None)
        gradients = ctx.network.pull_back(ctx.tape, cotangent.detach().cpu().numpy())
        tensors = [
            torch.from_numpy(np.ascontiguousarray(part)).to(cotangent)
            for part in (gradients.inputs, gradients.weights, gradients.queries)
        ]
        tensors[2] = tensors[2].sum_to_size(queries.shape)
        return (*tensors, None, None)


def _graph_of_gradients(
    network: MemoryNetwork, arguments: tuple[torch.Tensor, ...], cotangent: torch.Tensor, times: np.ndarray | None
) -> list[torch.Tensor | None]:
    """Multiply with the Jacobian in operations that torch records, for those arguments that need it."""
    wanted = [part for part in arguments if part.requires_grad]
    if not wanted or len(cotangent) == 0:
        return [torch.zeros_like(part) if part.requires_grad else None for part in arguments]
    with torch.autocast(cotangent.device.type, enabled=False):
        values = network.execution.differentiable(*arguments, *([] if times is None else [times]))
        found = iter(torch.autograd.grad(values, wanted, cotangent, create_graph=True, materialize_grads=True))
    return [next(found) if part.requires_grad else None for part in arguments]


class MemoryConnector(TorchConnector):
    """A trainable memory: ``weight`` holds theta', and the circuit turns by theta = weight_scale * theta'.

    The weights act once a step, so a small change of one turns the final state T times as far; the scale gives them the
    time scale of the inputs. A weight that is a rate gamma = 1 / (1 + exp(-theta')) is the angle of gamma instead
    (:class:`~qlam_qiskit.rate.Rate`). Call it with flat inputs (B, num_inputs) like any TorchConnector, or with angles
    (B, T, H, P) and queries (B or 1, R or 1, H, Q, A); ``times`` (B, R) are those of samples of different lengths, as
    in :meth:`~qlam_qiskit.network.MemoryNetwork.run`. Readouts come back flat (B, R*H*Q*K) from flat inputs, and as
    (B, R, H, Q, K) otherwise.

    Inputs of any real dtype are computed in the engine's precision, and in double precision once the weights are
    (``.double()``); the readouts' dtype is the one that torch promotes inputs and weights to.

    In training mode, and where ``in_evaluation`` is set, ``in_training``, if there is one, runs in place of the
    network: the same circuit with errors in it.

    Parameters
    ----------
    network
        The memory, with its readout and where it runs.
    initial_weights
        theta', flat (H * W,); by default drawn as TorchConnector does.
    weight_scale
        Radians that a weight of 1 turns by.
    """

    in_training: MemoryNetwork | None = None
    in_evaluation = False

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

    def angles(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return theta, the angles that the circuit turns by.

        Parameters
        ----------
        dtype
            In which they are computed; by default that of the weights.

        Returns
        -------
        torch.Tensor
            (H, W), in radians.
        """
        trained = self.neural_network.split_weights(self._weights).to(dtype or self._weights.dtype)
        angles = trained * self.weight_scale
        if self._is_rate is None:
            return angles
        # 2 asin(sqrt(gamma)) = 2 atan(exp(g / 2)), written so that neither it nor its slope overflows.
        of_rates = torch.pi / 2 + 2 * torch.atan(torch.tanh(trained.double() / 4))
        return torch.where(self._is_rate, of_rates.to(angles), angles)

    def forward(
        self,
        input_data: torch.Tensor | None = None,
        queries: torch.Tensor | None = None,
        times: np.ndarray | None = None,
    ) -> torch.Tensor:
        """Run the memory.

        Parameters
        ----------
        input_data
            Angles (B, T, H, P) in radians, or flat inputs (B, num_inputs), the angles and then the query angles.
        queries
            Query angles (B or 1, R or 1, H, Q, A) in radians, beside angles that are not flat.
        times
            (B, R), the steps after which each sample is read, as :meth:`MemoryNetwork.run` takes them.

        Returns
        -------
        torch.Tensor
            Readouts (B, R, H, Q, K), or flat ones (B, R*H*Q*K) from flat inputs.

        Raises
        ------
        CircuitError
            For complex inputs, and for shapes that do not fit.
        """
        network: MemoryNetwork = self.neural_network
        if input_data is None:
            input_data = self._weights.new_empty(1, 0)
        if queries is not None:
            return self._read(input_data, queries, times)
        if input_data.ndim == 0 or input_data.shape[-1] != network.num_inputs:
            shape = tuple(input_data.shape)
            raise CircuitError(f"inputs without queries are flat, (..., {network.num_inputs}), not {shape}")
        lead = input_data.shape[:-1]
        values = self._read(*network.split_inputs(input_data.reshape(prod(lead), network.num_inputs)))
        return values.reshape(*lead, *network.output_shape)

    def _read(self, angles: torch.Tensor, queries: torch.Tensor, times: np.ndarray | None = None) -> torch.Tensor:
        """Return readouts (B, R, H, Q, K), computed in single or double precision whatever the dtypes."""
        arguments = (angles, self._weights, queries)
        for name, part in zip(("angles", "weights", "queries"), arguments, strict=True):
            if part.is_complex():
                raise CircuitError(f"{name} are real numbers (radians), not {str(part.dtype).removeprefix('torch.')}")
        dtype = reduce(torch.promote_types, (part.dtype for part in arguments))
        computed = torch.promote_types(dtype, torch.float32)
        network: MemoryNetwork = self.neural_network
        if (self.training or self.in_evaluation) and self.in_training is not None:
            network = self.in_training
        if self._weights.dtype == torch.float64:
            network = network.in_double()
        parts = (angles, self.angles(computed), queries)
        angles, weights, queries = (part.to(angles.device, computed) for part in parts)
        if torch._C._are_functorch_transforms_active():  # of torch.func, as vmap and jacrev
            network.check_shapes(angles, weights, queries)
            own = [] if times is None else [times]
            return network.execution.differentiable(angles, weights, queries, *own).to(dtype)
        return _VectorJacobian.apply(angles, weights, queries, network, times).to(dtype)
