"""Evaluates a trained model on the test set, on any backend of the registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qlam_qiskit.backends import load_registry
from qlam_qiskit.data import SequenceData, load_data
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.train.building import build_model, check_description
from qlam_qiskit.train.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.train.experiments import Experiment
from qlam_qiskit.train.run_folder import RunFolder
from qlam_qiskit.train.trainer import score_split

_BATCH = {"exact": 512}  # samples at once; backends that run circuit by circuit take fewer, and report more often


def load_run(folder: RunFolder, executions: BackendExecutions, data: SequenceData) -> QLAM:
    """Rebuild a run's model with its best weights; raises RunError when the folder is damaged or of another model."""
    experiment: Experiment = folder.experiment()
    checkpoint = load_checkpoint(folder.best)
    model = build_model(experiment.model, data, executions, experiment.seed)
    check_description(folder, model, data)
    load_weights(model, checkpoint, folder.best)
    return model.eval()


def evaluate(
    path: Path,
    *,
    backend: str | None = None,
    shots: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
    backends: Path | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return accuracy and loss of a run on the first ``limit`` test samples, and keep them in the run's folder.

    ``backend`` is by default the one the run was trained on; ``shots`` overrides the registry's. ``report`` hears how
    many samples of how many are done.
    """
    folder = RunFolder.open(path)
    experiment = folder.experiment()
    spec = load_registry(backends).spec(backend or experiment.backend)
    if shots is not None and spec.kind == "exact":
        raise ConfigurationError(f"--shots: backend {spec.name!r} is exact and draws none; choose another --backend")
    data = load_data(experiment.data, data_dir)
    seed = experiment.seed if seed is None else seed
    executions = BackendExecutions(spec, shots=shots, seed=seed)
    model = load_run(folder, executions, data)
    split = data.test if limit is None else data.test.subset(np.arange(min(limit, len(data.test))))
    began = time.perf_counter()
    done = 0

    def count(samples: int) -> None:
        nonlocal done
        done += samples
        report(done, len(split))

    loss, accuracy = score_split(model, split, _BATCH.get(spec.kind, 20), count)
    result = {
        "accuracy": accuracy,
        "samples": len(split),
        "backend": spec.name,
        "shots": executions.used_shots,
        "seconds": round(time.perf_counter() - began, 3),
        "loss": loss,
        "task": data.task,
        "seed": seed,
        "run": str(folder.path),
    }
    folder.append("evaluations.jsonl", result)
    return result
