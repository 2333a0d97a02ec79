"""Trains one job of a comparison in a run folder of its own, from wherever it was left, however it was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qlam_qiskit.backends import load_registry
from qlam_qiskit.baselines import count_parameters
from qlam_qiskit.compare.planning import Job
from qlam_qiskit.compare.records import environment, pack
from qlam_qiskit.data import SequenceData, Split, load_data, validation_split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.network import BackendExecutions
from qlam_qiskit.runs import SavedRun, build_model, outputs
from qlam_qiskit.training import Reporter, RunFolder, Trainer, has_begun, train
from qlam_qiskit.workspace import make_private_folder, write_file


@dataclass(frozen=True)
class Bench:
    """Where jobs are trained: the folder of their run folders, the data, and the exact engine's threads."""

    runs: Path
    data_dir: Path | None
    threads: int

    def registry(self) -> Path:
        """Write a registry of the exact engine alone, so that no file of the user's changes what is trained."""
        path = self.runs / "backends.yaml"
        make_private_folder(self.runs)
        entry = f"{{kind: exact, threads: {self.threads}}}"
        write_file(path, f"default: exact\nbackends:\n  exact: {entry}\n")
        return path

    def executions(self) -> BackendExecutions:
        """Return what runs a model's memories."""
        return BackendExecutions(load_registry(self.registry()).spec("exact"))


def run_trial(job: Job, bench: Bench, reporter: Reporter, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Train a trial or finalist of the search; returns its best validation accuracy. The test set is not looked at."""
    experiment = job.experiment
    data = load_data(experiment.data, bench.data_dir)
    check_answers(data)
    model = build_model(experiment.model, data, bench.executions(), experiment.seed)
    training, validation = validation_split(data.train, experiment.training.validation_fraction, experiment.seed)
    path = _folder(job, bench)
    begun = path.exists() and not RunFolder(path).is_vacant()
    folder = RunFolder.open(path) if begun else RunFolder.create(experiment, job.training_name, path)
    trainer = Trainer(model, training, validation, experiment.training, experiment.seed, folder)
    with folder.locked(), folder.written():
        folder.sweep()
        if has_begun(folder, model, data, bench.executions().spec):
            trainer.resume()
        trainer.run(reporter, should_stop)
    return {
        "validation_accuracy": max(row["validation_accuracy"] for row in folder.metrics()),
        "parameters": count_parameters(model),
        "train_seconds": round(trainer.seconds, 2),
    }


def run_final(
    job: Job, data: SequenceData, bench: Bench, reporter: Reporter, should_stop: Callable[[], bool]
) -> dict[str, Any]:
    """Train a final run, test its best weights, and return its metrics with which test answers are right."""
    check_answers(data)
    path = _folder(job, bench)
    folder, result = train(
        job.experiment,
        job.training_name,
        reporter,
        out=path,
        data_dir=bench.data_dir,
        backends=bench.registry(),
        resume=path.exists(),
        should_stop=should_stop,
    )
    model = SavedRun(folder, bench.data_dir, data).model(bench.executions())
    correct = _correct(model, data.test, job.experiment.training.batch_size)
    kept = ("task", "test_loss", "validation_accuracy", "best_epoch", "parameters", "train_seconds")
    return {
        **{key: result[key] for key in kept},
        "train_samples": len(data.train),
        "test_samples": len(data.test),
        "test_accuracy": float(correct.mean()),
        "metrics": folder.metrics(),
        "environment": environment(folder.description()["versions"]),
        "correct": pack(correct),
    }


def check_answers(data: SequenceData) -> None:
    """Raise ConfigurationError for a task whose answers cannot be counted as right or wrong, one by one."""
    if data.targets is not None or data.every_step:
        raise ConfigurationError(
            "comparisons count right answers at the end: not numbers, and not answers at every step"
        )


def is_finished(job: Job, bench: Bench) -> bool:
    """Whether a final run was trained to its end already."""
    return RunFolder(_folder(job, bench)).result() is not None


def _folder(job: Job, bench: Bench) -> Path:
    """Return a job's run folder."""
    runs = bench.runs / "search" if job.stage == "trial" else bench.runs
    return runs / f"{job.training_name}-{job.fingerprint[:8]}"


def _correct(model: torch.nn.Module, split: Split, batch_size: int) -> np.ndarray:
    """Return which answers a model gets right, bool (N, M)."""
    answers = [logits.argmax(-1).numpy() for _, logits in outputs(model, split, batch_size)]
    return np.concatenate(answers) == split.labels.reshape(len(split), -1)
