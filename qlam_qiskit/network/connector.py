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
from qlam_qiskit.network.execution import ExactExecution
from qlam_qiskit.network.memory import MemoryNetwork
from qlam_qiskit.rate import angles_and_slopes


class _VectorJacobian(torch.autograd.Function):
    """Readouts of angles, the connector's weights and queries; ``theta`` and ``slopes`` belong to the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        angles: torch.Tensor,
        weights: torch.Tensor,
        queries: torch.Tensor,
        theta: np.ndarray,
        slopes: np.ndarray | float,
        connector: MemoryConnector,
        network: MemoryNetwork,
        times: np.ndarray | None,
    ) -> torch.Tensor:
        ctx.network, ctx.times, ctx.connector, ctx.slopes = network, times, connector, slopes
        ctx.weights, ctx.version = weights, weights._version
        # The tape shares the tensors' memory: torch refuses to differentiate if they were changed in place meanwhile.
        # Weights may be: the tape holds theta.
        ctx.save_for_backward(angles, queries)
        execution = network.execution
        stays = isinstance(execution, ExactExecution) and execution.takes_tensor(angles, times)
        given = angles if stays else _array(angles)
        values, ctx.tape = network.run(given, theta, _array(queries), times)
        return _tensor(values, angles)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        angles, queries = ctx.saved_tensors
        arguments = angles, ctx.weights, queries
        if torch.is_grad_enabled() and any(part.requires_grad for part in (cotangent, *arguments)):
            return (*_graph_of_gradients(ctx, arguments, cotangent), *_NOTHING)
        gradients = ctx.network.pull_back(ctx.tape, _array(cotangent))
        of_weights = gradients.weights * ctx.slopes
        for_angles, for_weights, for_queries, *_ = ctx.needs_input_grad
        return (
            _tensor(gradients.inputs, cotangent) if for_angles else None,
            _tensor(of_weights.reshape(ctx.weights.shape), ctx.weights) if for_weights else None,
            _tensor(gradients.queries, cotangent).sum_to_size(queries.shape) if for_queries else None,
            *_NOTHING,
        )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _tensor(array: np.ndarray | torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return an array as a tensor like another in dtype and device; to ask torch for nothing takes time too."""
    tensor = array if isinstance(array, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(array))
    return tensor if tensor.dtype == like.dtype and tensor.device == like.device else tensor.to(like)


_NOTHING = (None,) * 5  # the gradients of what is no argument of the circuit


def _graph_of_gradients(
    ctx: Any, arguments: tuple[torch.Tensor, ...], cotangent: torch.Tensor
) -> list[torch.Tensor | None]:
    """Multiply with the Jacobian in operations that torch records, for those arguments that need it."""
    wanted = [part for part in arguments if part.requires_grad]
    if not wanted or len(cotangent) == 0:
        return [torch.zeros_like(part) if part.requires_grad else None for part in arguments]
    angles, weights, queries = arguments
    if weights._version != ctx.version:
        raise RuntimeError("the weights were changed in place since the memory ran: they are needed as they were")
    with torch.autocast(cotangent.device.type, enabled=False):
        theta = ctx.connector.angles_of(weights, angles.dtype).to(angles.device)
        times = [] if ctx.times is None else [ctx.times]
        values = ctx.network.execution.differentiable(angles, theta, queries, *times)
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
        self._rate_columns = np.flatnonzero(rates.numpy())

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
        return self.angles_of(self._weights, dtype or self._weights.dtype)

    def angles_of(self, weights: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return what :meth:`angles` does, of other weights than the module's own.

        Parameters
        ----------
        weights
            theta' of all registers, (H * W,).
        dtype
            In which to compute.

        Returns
        -------
        torch.Tensor
            theta in radians, (H, W).
        """
        trained = self.neural_network.split_weights(weights).to(dtype)
        angles = trained * self.weight_scale
        if self._is_rate is None:
            return angles
        # 2 asin(sqrt(gamma)) = 2 atan(exp(g / 2)), written so that neither it nor its slope overflows.
        of_rates = torch.pi / 2 + 2 * torch.atan(torch.tanh(trained.double() / 4))
        return torch.where(self._is_rate, of_rates.to(angles), angles)

    def _angles_and_slopes(self, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray | float]:
        """Return theta (H, W) as :meth:`angles` does, and d(theta)/d(theta'), which may be the same for all."""
        trained = self.neural_network.split_weights(_array(self._weights.to(dtype)))
        angles = trained * trained.dtype.type(self.weight_scale)
        if self._rate_columns.size == 0:
            return angles, self.weight_scale
        slopes = np.full(angles.shape, self.weight_scale)
        columns = np.s_[:, self._rate_columns]
        angles[columns], slopes[columns] = angles_and_slopes(trained[columns])
        return angles, slopes

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
        angles, queries = (part.to(angles.device, computed) for part in (angles, queries))
        if torch._C._are_functorch_transforms_active():  # of torch.func, as vmap and jacrev
            theta = self.angles(computed).to(angles.device)
            network.check_shapes(angles, theta, queries)
            own = [] if times is None else [times]
            return network.execution.differentiable(angles, theta, queries, *own).to(dtype)
        # One node of torch's graph, not one for each operation of the formula: those take longer than a short sequence.
        theta, slopes = self._angles_and_slopes(computed)
        arguments = (angles, self._weights, queries, theta, slopes, self, network, times)
        return _VectorJacobian.apply(*arguments).to(dtype)
