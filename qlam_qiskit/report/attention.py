"""Which tokens an answer depends on: derivatives of logits and of readouts with respect to every token.

The size of a derivative is its Frobenius norm over the numbers of the token and, for a query, over the numbers that it
reads. torch carries it back through the head, the memory (by the engine's adjoint differentiation) and the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from qlam_qiskit.model import QLAM

_ROWS = 128  # of one backward pass
# Amplitudes times steps times numbers read: some seconds per sample on two cores.
_MOST_WORK = 1 << 30


def logit_attention(
    model: nn.Module, tokens: np.ndarray, classes: np.ndarray, answers: Sequence[int] | None = None
) -> np.ndarray:
    """Return the size of d(logit)/d(token) of every answer's given class, (M, T), or of some ``answers``.

    tokens float32 (T, c) of one sample; classes (M,).
    """
    chosen = list(range(len(classes)) if answers is None else answers)
    unit = torch.zeros(len(chosen), len(classes), model.classes)
    unit[range(len(chosen)), chosen, list(classes[chosen])] = 1.0
    return _sizes(model, tokens, unit)


def readout_attention(model: QLAM, tokens: np.ndarray) -> np.ndarray:
    """Return the size of d(readout)/d(token) of every reading, register and query, (R, H, Q, T).

    tokens float32 (T, c) of one sample.
    """
    times, registers, queries, numbers = readout_shape(model)
    size = registers * queries * numbers
    unit = torch.eye(times * size).reshape(-1, times, size)
    sizes = _sizes(model.read, tokens, unit)
    return np.linalg.norm(sizes.reshape(times, registers, queries, numbers, -1), axis=3)


def readout_shape(model: QLAM) -> tuple[int, int, int, int]:
    """Return R, H, Q and K of the last layer."""
    layer = model.layers[-1]
    network = layer.memory.neural_network
    return len(layer.readout_steps), network.registers, network.queries, network.readout.size


def is_affordable(model: QLAM, steps: int) -> bool:
    """Say whether :func:`readout_attention` takes seconds, not minutes."""
    qubits = model.layers[-1].memory.neural_network.memory.num_qubits
    work = int(np.prod(readout_shape(model))) * len(model.layers) * steps << qubits
    return work <= _MOST_WORK


def _sizes(
    function: Callable[[torch.Tensor], torch.Tensor], tokens: np.ndarray, cotangents: torch.Tensor
) -> np.ndarray:
    """Return |J^T v| of every token for every cotangent v, (rows, T)."""
    parts = []
    for chosen in cotangents.split(_ROWS):
        batch = torch.from_numpy(tokens).expand(len(chosen), *tokens.shape).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(batch), batch, chosen.to(batch.dtype))
        parts.append(gradient.norm(dim=2).numpy())
    return np.concatenate(parts).astype(float)
