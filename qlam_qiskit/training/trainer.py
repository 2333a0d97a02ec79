"""The training loop, and the state that a run is resumed from.

Everything that the next step depends on is in a checkpoint: weights, optimizer, schedule, random generators, the
place in the epoch and its running sums. The order of samples is a function of the seed and the epoch. So a run that was
killed continues to the same numbers, bit for bit, as one that was not. Several ranks run this loop side by side, each
on its part of every batch; none of them has a state of its own.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from qlam_qiskit.data import Split
from qlam_qiskit.errors import Interrupted, QlamError, RunError
from qlam_qiskit.model import QLAM
from qlam_qiskit.runs import (
    Checkpoint,
    RunFolder,
    TrainingSettings,
    epoch_figures,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from qlam_qiskit.training.distributed import ALONE, Ranks
from qlam_qiskit.training.optimizer import make_optimizer
from qlam_qiskit.training.scoring import score, score_split

# Enough for the statistics that normalize readouts, few enough for a simulator with noise.
_SETTLING_SAMPLES = 4096


class Reporter(Protocol):
    """What wants to hear of progress."""

    def compiling(self, done: int, total: int, seconds: int) -> None:
        """Hear, before training, that ``done`` of ``total`` loops are compiled, which takes about ``seconds``."""

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float | None) -> None:
        """Hear that ``done`` of ``total`` steps are taken; loss and accuracy are those of the epoch so far.

        Where numbers are predicted, there is no accuracy.
        """

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Hear of a finished epoch."""


@dataclass
class _Progress:
    """Where a run stands."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # finished batches of the epoch in hand
    loss_sum: float = 0.0
    correct: float = 0.0
    seen: int = 0
    epoch_seconds: float = 0.0
    seconds: float = 0.0
    best: float | None = None
    random_states: list[dict] = field(default_factory=list)


class Trainer:
    """Trains one model on one split, into one run folder.

    ``generators`` are the random generators that the model's backend draws from, saved and restored with the rest.
    ``ranks`` are the processes that share the work; the first of them writes to the folder.
    """

    def __init__(
        self,
        model: QLAM,
        train: Split,
        validation: Split | None,
        settings: TrainingSettings,
        seed: int,
        folder: RunFolder,
        generators: Callable[[], list[np.random.Generator]] = list,
        ranks: Ranks = ALONE,
    ) -> None:
        self._model, self._train, self._validation = model, train, validation
        self._settings, self._seed, self._folder, self._generators = settings, seed, folder, generators
        self._ranks = ranks
        self._normalization = model.normalization if isinstance(model, QLAM) and ranks.size > 1 else None
        if self._normalization is not None:
            self._normalization.total = ranks.total
        self._regression = train.labels.dtype.kind == "f"
        self._batches = -(-len(train) // settings.batch_size)
        self._optimizer, self._schedule = make_optimizer(model, settings, self._batches * settings.epochs)
        self._progress = _Progress()

    def run(self, reporter: Reporter, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the last epoch; raises Interrupted after saving when ``should_stop`` says so.

        Raises QlamError when the loss is no longer finite; the checkpoints from before remain.
        """
        progress, settings = self._progress, self._settings
        while progress.epoch < settings.epochs:
            order = np.random.default_rng([self._seed, progress.epoch]).permutation(len(self._train))
            samples = self._train.varied(self._seed, progress.epoch)
            saved = time.monotonic()
            while progress.batch < self._batches:
                start = progress.batch * settings.batch_size
                stop = self._step(samples, order[start : start + settings.batch_size], should_stop)
                reporter.step(
                    progress.epoch * self._batches + progress.batch,
                    settings.epochs * self._batches,
                    progress.epoch + 1,
                    progress.loss_sum / progress.seen,
                    None if self._regression else progress.correct / progress.seen,
                )
                if stop or time.monotonic() - saved > settings.checkpoint_seconds:
                    self._save_last()
                    saved = time.monotonic()
                if stop:
                    with self._ranks.together():  # no rank leaves before the state is saved
                        raise Interrupted(
                            f"interrupted in epoch {progress.epoch + 1} of {settings.epochs}; the state is saved in "
                            f"{self._folder.path}: continue with --resume"
                        )
            reporter.epoch(self._finish_epoch())

    def resume(self, say: Callable[[str], None] = lambda line: None) -> None:
        """Take up the state of the folder's newest sound checkpoint; ``say`` hears when that is not the last one.

        Raises RunError when it does not fit this model.
        """
        path, checkpoint, line = self._ranks.from_first(self._newest)
        if line is not None and self._ranks.first:
            say(line)
        if path == self._folder.best:
            self._start_from_best(checkpoint)
        elif path is not None:
            self._restore(checkpoint, path)
        if self._ranks.first:
            self._folder.keep_metrics(self._progress.epoch)

    def _newest(self) -> tuple[Path | None, Checkpoint | None, str | None]:
        """Read the newest checkpoint that is sound; returns what is wrong with the one before it, and so on."""
        line = None
        for path, found in (
            (self._folder.last, "the last checkpoint"),
            (self._folder.previous, "the checkpoint before it"),
            (self._folder.best, "the best weights; the optimizer starts anew, so other numbers come out than unbroken"),
        ):
            if not path.exists():
                continue
            try:
                return path, load_checkpoint(path), line and f"{line}; continued from {found}"
            except RunError as error:
                line = line or str(error)
        return None, None, f"{line}; no other is there, so training starts from the beginning"

    def _restore(self, checkpoint: Checkpoint, path: Path) -> None:
        load_weights(self._model, checkpoint, path)
        state = checkpoint.state
        tensors = checkpoint.group("optimizer")
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            index, kind = name.split("/")
            moments.setdefault(int(index), {})[kind] = tensor
        generators, progress = self._generators(), _Progress(**state["progress"])
        if len(generators) != len(progress.random_states):
            raise RunError(f"{path}: of a run on another kind of backend, which draws from other random generators")
        self._optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
        self._schedule.load_state_dict(dict(state["schedule"]))
        torch.set_rng_state(checkpoint.tensors["random/torch"])
        self._progress = progress
        for generator, saved in zip(generators, progress.random_states, strict=True):
            generator.bit_generator.state = saved

    def _start_from_best(self, checkpoint: Checkpoint) -> None:
        """Go on after the epoch of the best weights, with the learning rates of that time."""
        load_weights(self._model, checkpoint, self._folder.best)
        epoch = checkpoint.state["epoch"]
        seconds = sum(row["seconds"] for row in self._folder.metrics() if row["epoch"] <= epoch)
        self._progress = _Progress(epoch=epoch, seconds=seconds, best=self._score_of(checkpoint.state))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no step of the optimizer came before these
            for _ in range(epoch * self._batches):
                self._schedule.step()

    def _score_of(self, metrics: Mapping[str, Any]) -> float | None:
        """Return what the best epoch is chosen by, the higher the better; None where nothing is held out."""
        loss = metrics.get("validation_loss")
        return (None if loss is None else 1 - loss) if self._regression else metrics.get("validation_accuracy")

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all processes that worked on the run."""
        return self._progress.seconds

    def _step(self, samples: Split, indices: np.ndarray, should_stop: Callable[[], bool]) -> bool:
        """Take one step on a batch; returns whether any rank was asked to stop."""
        began = time.perf_counter()
        progress = self._progress
        self._model.train()
        self._optimizer.zero_grad()
        loss_sum, correct, stop = self._ranks.step(
            self._model, lambda: self._differentiate(samples, self._ranks.share(indices), len(indices)), should_stop
        )
        if not math.isfinite(loss_sum):
            raise QlamError(
                f"the loss is {loss_sum} in epoch {progress.epoch + 1}, batch {progress.batch + 1}: lower "
                "training.circuit_rate, training.head_rate or training.clip"
            )
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.clip)
        self._optimizer.step()
        self._schedule.step()
        progress.batch += 1
        progress.seen += len(indices)
        progress.loss_sum += loss_sum
        progress.correct += correct
        elapsed = time.perf_counter() - began
        progress.epoch_seconds += elapsed
        progress.seconds += elapsed
        return stop

    def _differentiate(self, samples: Split, indices: np.ndarray, batch_size: int) -> tuple[float, float]:
        """Leave in the model the gradient of these samples' part of the batch's mean loss, where that is finite.

        Ranks that share statistics all take the backward pass, which adds up gradients between them.
        Returns the sum of their losses and how many they are that the model gets right.
        """
        if not len(indices):
            self._stand_by()
            return 0.0, 0.0
        try:
            loss, correct = score(self._model, samples, indices)
        except QlamError:
            self._stand_by()
            raise
        if torch.isfinite(loss) or self._normalization is not None:
            loss.backward(torch.full_like(loss, len(indices) / batch_size))
        return loss.item() * len(indices), correct

    def _stand_by(self) -> None:
        """Keep up with the ranks that have samples where the statistics of readouts are those of all."""
        if self._normalization is not None:
            trained = any(parameter.requires_grad for parameter in self._model.layers.parameters())
            self._normalization.stand_by(trained=trained)

    def _finish_epoch(self) -> dict[str, Any]:
        progress = self._progress
        metrics: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            **self._figures("train", progress.loss_sum / progress.seen, progress.correct / progress.seen),
        }
        accuracy = None
        if isinstance(self._model, QLAM):
            self._model.settle(self._settling_batches(), self._seed)
        if self._validation is not None:
            loss, accuracy = score_split(
                self._model, self._validation, self._settings.batch_size, self._ranks, seed=self._seed
            )
            metrics |= self._figures("validation", loss, accuracy)
            if isinstance(self._model, QLAM) and str(self._model.noise):
                metrics["validation_noise"] = str(self._model.noise)
        metrics["seconds"] = round(progress.epoch_seconds, 3)
        progress.epoch += 1
        progress.batch = progress.seen = 0
        progress.loss_sum = progress.correct = progress.epoch_seconds = 0.0
        best = accuracy is None or progress.best is None or accuracy >= progress.best  # of equals, the longer trained
        if best:
            progress.best = accuracy
        if self._ranks.first:
            # Metrics before checkpoint: a row too many is dropped on resuming, one too few could not be made again.
            self._folder.append("metrics.jsonl", metrics)
            if best:
                save_checkpoint(self._folder.best, Checkpoint(self._weights(), {"epoch": progress.epoch, **metrics}))
        self._save_last()
        return metrics

    def _figures(self, part: str, loss: float, score: float) -> Mapping[str, float]:
        return epoch_figures(part, loss, score, regression=self._regression)

    def _settling_batches(self) -> Iterator[torch.Tensor]:
        """Yield tokens of the first training samples, the same on every rank."""
        samples, size = min(len(self._train), _SETTLING_SAMPLES), self._settings.batch_size
        for start in range(0, samples, size):
            yield torch.from_numpy(self._train.tokens(slice(start, min(start + size, samples))))

    def _weights(self) -> dict[str, torch.Tensor]:
        return {f"model/{name}": tensor for name, tensor in self._model.state_dict().items()}

    def _save_last(self) -> None:
        if not self._ranks.first:
            return
        self._progress.random_states = [generator.bit_generator.state for generator in self._generators()]
        tensors = self._weights()
        optimizer = self._optimizer.state_dict()
        for index, moments in optimizer["state"].items():
            tensors |= {f"optimizer/{index}/{kind}": tensor for kind, tensor in moments.items()}
        tensors["random/torch"] = torch.get_rng_state()
        state = {
            "progress": asdict(self._progress),
            "param_groups": optimizer["param_groups"],
            "schedule": {k: v for k, v in self._schedule.state_dict().items() if not callable(v)},
        }
        if self._folder.last.exists():
            self._folder.last.replace(self._folder.previous)
        save_checkpoint(self._folder.last, Checkpoint(tensors, state))
