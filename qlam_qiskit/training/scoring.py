"""How good a model is on some samples: mean loss, and how well they are answered."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from qlam_qiskit.data import SequenceData, Split
from qlam_qiskit.model import FEWEST_SAMPLES, QLAM
from qlam_qiskit.runs import mean_loss, outputs, quality, scores
from qlam_qiskit.training.distributed import ALONE, Ranks


def score_split(
    model: torch.nn.Module, split: Split, batch_size: int, ranks: Ranks = ALONE, *, seed: int = 0
) -> tuple[float, float]:
    """Return the mean loss of a model on a split, and its accuracy, or 1 less the loss of numbers.

    With the noise that the model is trained with; what is random in it is drawn from ``seed``.
    """
    model.eval()
    loss_sum = correct_sum = 0.0
    with ranks.together(), _noise(model, seed + ranks.rank):
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
    """Return the mean loss of some samples, and how many of them are right; one answer of M counts 1/M.

    Samples of like lengths stand side by side, so that blocks of short ones end early.
    """
    if split.lengths is not None:
        indices = indices[np.argsort(split.lengths[indices], kind="stable")]
    return _scored(model(torch.from_numpy(split.tokens(indices))), split, indices)


def quality_of_split(
    model: torch.nn.Module, data: SequenceData, split: Split, batch_size: int, ranks: Ranks, *, seed: int = 0
) -> tuple[float, dict[str, Any]]:
    """Return the mean loss of a model on a split, and its figures: accuracy, or the errors of numbers."""
    if data.targets is None:
        loss, accuracy = score_split(model, split, batch_size, ranks, seed=seed)
        return loss, {"accuracy": accuracy}
    model.eval()
    # Few numbers are predicted of each sample: every rank predicts them all.
    with _noise(model, seed):
        found = torch.cat([part for _, part in outputs(model, split, batch_size)])
    labels = torch.from_numpy(split.labels)
    return mean_loss(found, labels).item(), quality(found, labels, data.targets, data.class_names)


def _noise(model: torch.nn.Module, seed: int) -> AbstractContextManager[None]:
    return model.as_trained(seed) if isinstance(model, QLAM) else nullcontext()


def _scored(logits: torch.Tensor, split: Split, indices: np.ndarray) -> tuple[torch.Tensor, float]:
    labels = torch.from_numpy(split.labels[indices])
    return mean_loss(logits, labels), scores(logits, labels).sum().item()
