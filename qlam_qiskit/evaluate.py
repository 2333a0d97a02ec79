"""Evaluates a trained model on the test set, on any backend of the registry, and keeps the outcome in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.data import load_data
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.hardware import evaluate_on_device, score
from qlam_qiskit.jobs import Ledger
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.train.loading import load_run
from qlam_qiskit.train.run_folder import RunFolder
from qlam_qiskit.train.trainer import score_split

_BATCH = {"exact": 512, "aer": 20}  # samples at once; simulated circuit by circuit, fewer report more often


def evaluate(
    path: Path,
    *,
    backend: str | None = None,
    shots: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    mitigate: bool = False,
    anyway: bool = False,
    data_dir: Path | None = None,
    backends: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Return accuracy and loss of a run on the first ``limit`` test samples.

    ``backend`` is by default the one the run was trained on; ``shots`` overrides the registry's. The exact engine and
    Aer run here; devices, fake ones too, run through the job ledger, where ``mitigate`` undoes readout errors and
    ``anyway`` sends what the plan advises against. ``progress`` hears of samples, or of a device's jobs.
    """
    folder = RunFolder.open(path)
    spec = load_registry(backends).spec(backend or folder.experiment().backend)
    if spec.kind in _BATCH:
        if mitigate:
            raise ConfigurationError(f"--mitigate: backend {spec.name!r} is no device with a calibration of its own")
        result = _evaluate_here(folder, spec, shots, limit, seed, data_dir, progress)
    else:
        result = evaluate_on_device(
            path,
            spec,
            shots=shots,
            limit=limit,
            seed=seed,
            mitigate=mitigate,
            anyway=anyway,
            data_dir=data_dir,
            progress=progress,
            report=report,
        )
    folder.append("evaluations.jsonl", result)
    return result


def evaluate_submission(
    path: Path, submission: str, *, mitigate: bool = False, data_dir: Path | None = None
) -> dict[str, Any]:
    """Return accuracy and loss of what was submitted before, from its saved results."""
    began = time.perf_counter()
    with Ledger() as ledger:
        result = score(path, submission, ledger, mitigate=mitigate, data_dir=data_dir)
    result["seconds"] = round(time.perf_counter() - began, 3)
    RunFolder.open(path).append("evaluations.jsonl", result)
    return result


def _evaluate_here(
    folder: RunFolder,
    spec: BackendSpec,
    shots: int | None,
    limit: int | None,
    seed: int | None,
    data_dir: Path | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    if shots is not None and spec.kind == "exact":
        raise ConfigurationError(f"--shots: backend {spec.name!r} is exact and draws none; choose another --backend")
    experiment = folder.experiment()
    data = load_data(experiment.data, data_dir)
    seed = experiment.seed if seed is None else seed
    executions = BackendExecutions(spec, shots=shots, seed=seed)
    model = load_run(folder, data, executions)
    split = data.test.subset(slice(limit))
    began = time.perf_counter()
    done = 0

    def count(samples: int) -> None:
        nonlocal done
        done += samples
        progress(done, len(split))

    loss, accuracy = score_split(model, split, _BATCH[spec.kind], count)
    return {
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
