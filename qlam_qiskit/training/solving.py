"""Training in closed form, of a model in which nothing is trained but its linear head: ridge regression."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from qlam_qiskit.baselines import FixedSettings, ReservoirSettings
from qlam_qiskit.data import Split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM
from qlam_qiskit.runs import AnyModelSettings, outputs
from qlam_qiskit.training.scoring import score_split
from qlam_qiskit.training.trainer import Reporter, Trainer

# Strengths of the L2 penalty, on standardized features and the mean over answers.
_PENALTIES = np.logspace(-9, 1, 21)


def is_solved(settings: AnyModelSettings) -> bool:
    """Whether a model's head is solved in closed form."""
    if isinstance(settings, ReservoirSettings):
        return settings.fit == "ridge"
    return isinstance(settings, FixedSettings)


class HeadSolver(Trainer):
    """Solves a head at once, in place of the epochs; the penalty with the least validation loss is taken.

    Raises ConfigurationError for classes in place of numbers, without a validation split, and with several ranks.
    """

    def run(self, reporter: Reporter, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Fit the head to all training samples, and count that as the last epoch."""
        if not self._regression or self._validation is None or self._ranks.size > 1:
            raise ConfigurationError(
                "a head that ridge regression solves predicts numbers, in one process, and needs "
                "training.validation_fraction above 0 to choose the penalty by"
            )
        progress = self._progress
        if progress.epoch:
            return
        began = time.perf_counter()
        if isinstance(self._model, QLAM):
            self._model.settle(self._settling_batches(), self._seed)
        features, labels = self._features(self._train)
        mean, std = features.mean(0), features.std(0)
        scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 1e-9)  # what never changes says nothing
        centred, middle = (features - mean) * scale, labels.mean(0)
        gram, moments = centred.T @ centred / len(centred), centred.T @ (labels - middle) / len(centred)
        found = []
        for penalty in _PENALTIES:
            weight = (np.linalg.solve(gram + penalty * np.eye(len(gram)), moments) * scale[:, None]).T
            self._set_head(weight, middle - weight @ mean)
            loss, _ = score_split(self._model, self._validation, self._settings.batch_size, seed=self._seed)
            found.append((loss, weight))
        _, weight = min(found, key=lambda one: one[0])
        self._set_head(weight, middle - weight @ mean)
        loss, score = score_split(self._model, self._train, self._settings.batch_size, seed=self._seed)
        progress.seen = len(self._train)
        progress.loss_sum, progress.correct = loss * progress.seen, score * progress.seen
        progress.seconds = progress.epoch_seconds = time.perf_counter() - began
        progress.epoch = self._settings.epochs - 1
        reporter.epoch(self._finish_epoch())

    def _features(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return what the head sees, (K, F), for every answer that there is, and the answers, (K, L)."""
        self._model.eval()

        def read(tokens: torch.Tensor) -> torch.Tensor:
            return self._model.features(self._model.read(tokens))

        features = torch.cat([part for _, part in outputs(read, split, self._settings.batch_size)]).double().numpy()
        labels = split.labels.astype(float)
        if features.ndim == 3:  # after every step
            features, labels = features.reshape(-1, features.shape[-1]), labels.reshape(-1, labels.shape[-1])
        else:
            labels = labels.reshape(len(labels), -1)
        given = ~np.isnan(labels).any(axis=1)
        return features[given], labels[given]

    def _set_head(self, weight: np.ndarray, bias: np.ndarray) -> None:
        with torch.no_grad():
            self._model.head.weight.copy_(torch.from_numpy(weight))
            self._model.head.bias.copy_(torch.from_numpy(bias))
