"""How good a model is on some samples: mean loss and accuracy."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qlam_qiskit.data import Split
from qlam_qiskit.model import FEWEST_SAMPLES, QLAM
from qlam_qiskit.runs import outputs
from qlam_qiskit.training.distributed import ALONE, Ranks


def score_split(
    model: torch.nn.Module, split: Split, batch_size: int, ranks: Ranks = ALONE, *, seed: int = 0
) -> tuple[float, float]:
    """Return the mean loss and the accuracy of a model on a split, with the noise that it is trained with.

    What is random in it is drawn from ``seed``.
    """
    model.eval()
    loss_sum = correct_sum = 0.0
    noise = model.as_trained(seed + ranks.rank) if isinstance(model, QLAM) else nullcontext()
    with ranks.together(), noise:
        for indices, logits in outputs(model, split, batch_size, share=ranks.share):
            loss, correct = _scored(logits, split, indices)
            loss_sum += loss.item() * len(indices)
            correct_sum += correct
    loss_sum, correct_sum = ranks.sum(loss_sum, correct_sum)
    return loss_sum / len(split), correct_sum / len(split)


def clean_accuracy(model: QLAM, split: Split, batch_size: int) -> float:
    """Return the accuracy of a model that is trained with noise on a split without it.

    Readouts are normalized with their own statistics where there are enough of them.
    """
    model.eval()
    readouts = torch.cat([found for _, found in outputs(model.read, split, batch_size)])
    with torch.no_grad():
        logits = model.classify(readouts, own_statistics=len(split) >= FEWEST_SAMPLES)
    return _scored(logits, split, np.arange(len(split)))[1] / len(split)


def score(model: torch.nn.Module, split: Split, indices: np.ndarray) -> tuple[torch.Tensor, float]:
    """Return the mean loss of some samples, and how many of them are right; one answer of M counts 1/M."""
    return _scored(model(torch.from_numpy(split.tokens(indices))), split, indices)


def _scored(logits: torch.Tensor, split: Split, indices: np.ndarray) -> tuple[torch.Tensor, float]:
    labels = torch.from_numpy(split.labels[indices]).reshape(len(indices), -1)
    loss = cross_entropy(logits.flatten(0, 1), labels.flatten())
    return loss, (logits.argmax(-1) == labels).float().mean(1).sum().item()
