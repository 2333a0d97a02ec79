"""What outputs are held against: cross-entropy and right answers, or the squared errors of numbers.

Outputs (B, M, C) are the logits of M answers, or M times C standardized numbers. Labels are int64 (B,) or (B, M), -1
where there is none to give, or of regression float32 (B, M, C), NaN where there is none. A sample counts by the mean
over its own answers, however many they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss

from qlam_qiskit.data import Targets


def mean_loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean over samples of cross-entropy (nats), or of squared errors of standardized numbers."""
    if labels.is_floating_point():
        return losses(outputs, labels).mean() if labels.isnan().any() else mse_loss(outputs, labels)
    if bool((labels < 0).any()):
        return losses(outputs, labels).mean()
    return cross_entropy(outputs.flatten(0, 1), labels.flatten())


def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return each sample's loss, (B,)."""
    if labels.is_floating_point():
        given = ~labels.isnan()
        of_answers = (outputs - torch.where(given, labels, outputs.detach())).square().flatten(1)
    else:
        labels = labels.reshape(len(labels), -1)
        given = labels >= 0
        flat = cross_entropy(outputs.flatten(0, 1), labels.flatten(), ignore_index=-1, reduction="none")
        of_answers = flat.reshape(labels.shape)
    given = given.flatten(1)
    return (of_answers * given).sum(1) / given.sum(1).clamp(min=1)


def scores(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return how well each sample is answered, (B,), the higher the better.

    The part of its answers that are right, or 1 less the squared error, in units of the training part's variance.
    """
    if labels.is_floating_point():
        return 1 - losses(outputs, labels)
    labels = labels.reshape(len(labels), -1)
    right = (outputs.argmax(-1) == labels).float()
    return right.mean(1) if bool((labels >= 0).all()) else right.sum(1) / (labels >= 0).sum(1).clamp(min=1)


def quality(
    outputs: torch.Tensor, labels: torch.Tensor, targets: Targets | None, names: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the figures of a whole part: ``accuracy``, or ``nrmse``, ``mae`` and ``r2``.

    Of regression, the root mean squared error relative to the standard deviation of the true numbers given, the mean
    absolute error in their own unit, and the part of their variance that is explained: means over the C numbers, which
    ``of_targets`` has by ``names`` where there are several. Where the true numbers are all the same, the deviation is
    that of the training part.
    """
    if targets is None:
        return {"accuracy": scores(outputs, labels).double().mean().item()}
    found = outputs.double().flatten(0, 1).numpy() * targets.std + targets.mean
    true = labels.double().flatten(0, 1).numpy() * targets.std + targets.mean
    given = ~np.isnan(true).any(axis=1)
    errors, deviation = found[given] - true[given], true[given].std(axis=0)
    deviation = np.where(deviation > 1e-9 * targets.std, deviation, targets.std)
    nrmse = np.sqrt((errors**2).mean(axis=0)) / deviation
    figures = {"nrmse": nrmse, "mae": np.abs(errors).mean(axis=0), "r2": 1 - nrmse**2}
    means: dict[str, Any] = {name: float(values.mean()) for name, values in figures.items()}
    if len(nrmse) > 1:
        means["of_targets"] = {
            name: {figure: float(values[k]) for figure, values in figures.items()} for k, name in enumerate(names)
        }
    return means


def epoch_figures(part: str, loss: float, score: float, *, regression: bool) -> Mapping[str, float]:
    """Name the figures of an epoch: ``train_loss`` and ``train_accuracy``, or ``train_nrmse``.

    The latter is relative to the standard deviation in the training part, the unit of the loss.
    """
    if regression:
        return {f"{part}_loss": loss, f"{part}_nrmse": max(loss, 0.0) ** 0.5}
    return {f"{part}_loss": loss, f"{part}_accuracy": score}
