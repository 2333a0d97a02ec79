"""Trains one job of a comparison in a run folder of its own, from wherever it was left, however it was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from qlam_qiskit.backends import load_registry
from qlam_qiskit.compare.planning import Job
from qlam_qiskit.compare.process import training_process
from qlam_qiskit.compare.records import environment, pack
from qlam_qiskit.data import Split, load_data
from qlam_qiskit.network import BackendExecutions
from qlam_qiskit.runs import SavedRun, losses, outputs
from qlam_qiskit.searching import ACCURACY, NRMSE, train_trial
from qlam_qiskit.training import Reporter, RunFolder, train_on
from qlam_qiskit.workspace import make_private_folder, write_file


@dataclass(frozen=True)
class Bench:
    """Where jobs are trained: the folder of their run folders, the data, the processor's threads, and the device."""

    runs: Path
    data_dir: Path | None
    threads: int
    device: Literal["cpu", "cuda"] = "cpu"

    def registry(self) -> Path:
        """Write a registry of the exact engine alone, so that no file of the user's changes what is trained."""
        path = self.runs / "backends.yaml"
        make_private_folder(self.runs)
        entry = f"{{kind: exact, threads: {self.threads}}}" if self.device == "cpu" else "{kind: exact, device: cuda}"
        write_file(path, f"default: exact\nbackends:\n  exact: {entry}\n")
        return path

    def folder(self, job: Job) -> Path:
        """Return a job's run folder."""
        runs = self.runs / "search" if job.stage == "trial" else self.runs
        return runs / f"{job.training_name}-{job.fingerprint[:8]}"

    def is_busy(self, job: Job) -> bool:
        """Whether another process is training a job."""
        return RunFolder(self.folder(job)).is_busy()

    def is_finished(self, job: Job) -> bool:
        """Whether a final run was trained to its end already."""
        return RunFolder(self.folder(job)).result() is not None

    def executions(self) -> BackendExecutions:
        """Return what runs a model's memories."""
        return BackendExecutions(load_registry(self.registry()).spec("exact"))


def run_job(job: Job, bench: Bench, reporter: Reporter, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Train a job, and test its best weights where it is a final run; returns what its record says of that.

    That is the best validation accuracy, and of a final run its metrics and which test answers are right. Raises
    BusyError when another process is training it.
    """
    with training_process(bench.threads):
        return (_run_final if job.stage == "final" else _run_trial)(job, bench, reporter, should_stop)


def _run_trial(job: Job, bench: Bench, reporter: Reporter, should_stop: Callable[[], bool]) -> dict[str, Any]:
    options = {"data_dir": bench.data_dir, "backends": bench.registry(), "should_stop": should_stop}
    metric = NRMSE if job.counts_errors else ACCURACY
    return train_trial(job.experiment, job.training_name, bench.folder(job), reporter, metric=metric, **options)


def _run_final(job: Job, bench: Bench, reporter: Reporter, should_stop: Callable[[], bool]) -> dict[str, Any]:
    options = {"data_dir": bench.data_dir, "backends": bench.registry(), "should_stop": should_stop}
    folder, result = train_on(job.experiment, job.training_name, reporter, bench.folder(job), **options)
    data = load_data(job.experiment.data, bench.data_dir)
    model = SavedRun(folder, bench.data_dir, data).model(bench.executions())
    kept = ("task", "test_loss", "best_epoch", "parameters", "train_seconds")
    return {
        **{key: result[key] for key in kept},
        "train_samples": len(data.train),
        "test_samples": len(data.test),
        **(_errors if job.counts_errors else _answers)(model, data.test, job.experiment.training.batch_size, result),
        "metrics": folder.metrics(),
        "environment": environment(folder.description()["versions"], bench.device),
    }


def _answers(model: torch.nn.Module, split: Split, batch_size: int, result: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of classes: how many answers are right, and which."""
    correct = _correct(model, split, batch_size)
    return {
        "validation_accuracy": result["validation_accuracy"],
        "test_accuracy": float(correct.mean()),
        "correct": pack(correct),
    }


def _errors(model: torch.nn.Module, split: Split, batch_size: int, result: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says of numbers: the NRMSE, and each test sample's mean squared error, standardized."""
    found = torch.cat([part for _, part in outputs(model, split, batch_size)])
    errors = losses(found, torch.from_numpy(split.labels)).double().numpy()
    return {
        "validation_nrmse": result["validation_nrmse"],
        "test_nrmse": result["test_nrmse"],
        "errors": [float(f"{error:.6g}") for error in errors],
    }


def _correct(model: torch.nn.Module, split: Split, batch_size: int) -> np.ndarray:
    """Return which answers a model gets right, bool (N, M)."""
    answers = [logits.argmax(-1).numpy() for _, logits in outputs(model, split, batch_size)]
    return np.concatenate(answers) == split.labels.reshape(len(split), -1)
