"""Measures a trained model's samples on any backend of the registry, scores them, and keeps the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.data import load_data
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.evaluation.measured import Measured
from qlam_qiskit.evaluation.on_device import collect, prepare, run_on_device
from qlam_qiskit.jobs import Ledger
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.runs.loading import Part, load_run, part_of
from qlam_qiskit.runs.run_folder import RunFolder

_BATCH = {"exact": 512, "aer": 20}  # samples at once; simulated circuit by circuit, fewer report more often


def evaluate(path: Path, **options: Any) -> dict[str, Any]:
    """Return accuracy and loss of a run on the first ``limit`` samples of a part of its data, by default the test set.

    Options are those of :func:`measure`. The outcome is added to the run's evaluations.jsonl.
    """
    return _scored(lambda: measure(path, **options))


def evaluate_submission(path: Path, submission: str, **options: Any) -> dict[str, Any]:
    """Return accuracy and loss of what was submitted before; options are those of :func:`measure_submission`."""
    return _scored(lambda: measure_submission(path, submission, **options))


def measure(
    path: Path,
    *,
    backend: str | None = None,
    part: Part = "test",
    shots: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    mitigate: bool = False,
    anyway: bool = False,
    data_dir: Path | None = None,
    backends: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[str], None] = lambda line: None,
) -> Measured:
    """Return the readouts of a run's first ``limit`` samples of a part of its data.

    ``backend`` is by default the one the run was trained on; ``shots`` overrides the registry's. The exact engine and
    Aer run here; devices, fake ones too, run through the job ledger, where ``mitigate`` undoes readout errors and
    ``anyway`` sends what the plan advises against. ``progress`` hears of samples, or of a device's jobs.
    """
    folder = RunFolder.open(path)
    spec = load_registry(backends).spec(backend or folder.experiment().backend)
    if spec.kind in _BATCH:
        if mitigate:
            raise ConfigurationError(f"--mitigate: backend {spec.name!r} is no device with a calibration of its own")
        return _measure_here(folder, spec, part, shots, limit, seed, data_dir, progress)
    prepared = prepare(path, spec, part=part, shots=shots, limit=limit, seed=seed, data_dir=data_dir)
    with Ledger() as ledger:
        submission = run_on_device(prepared, ledger, anyway=anyway, progress=progress, report=report)
        return collect(path, submission, ledger, mitigate=mitigate, data_dir=data_dir)


def measure_submission(
    path: Path, submission: str, *, mitigate: bool = False, data_dir: Path | None = None
) -> Measured:
    """Return the readouts of what was submitted before, from its saved results."""
    with Ledger() as ledger:
        return collect(path, submission, ledger, mitigate=mitigate, data_dir=data_dir)


def _scored(take: Callable[[], Measured]) -> dict[str, Any]:
    began = time.perf_counter()
    measured = take()
    result = {**measured.score(), "seconds": round(time.perf_counter() - began, 3)}
    measured.folder.append("evaluations.jsonl", result)
    return result


def _measure_here(
    folder: RunFolder,
    spec: BackendSpec,
    part: Part,
    shots: int | None,
    limit: int | None,
    seed: int | None,
    data_dir: Path | None,
    progress: Callable[[int, int], None],
) -> Measured:
    experiment = folder.experiment()
    data = load_data(experiment.data, data_dir)
    seed = experiment.seed if seed is None else seed
    executions = BackendExecutions(spec, shots=shots, seed=seed)
    model = load_run(folder, data, executions)
    split = part_of(folder, data, part).subset(slice(limit))
    exact = spec.kind == "exact" and executions.used_shots is None and spec.noise is None
    if not exact:
        model.check_samples(len(split))
    readouts = []
    with torch.no_grad():
        for start in range(0, len(split), _BATCH[spec.kind]):
            tokens = split.tokens(np.arange(start, min(start + _BATCH[spec.kind], len(split))))
            readouts.append(model.read(torch.from_numpy(tokens)))
            progress(start + len(tokens), len(split))
    return Measured(
        folder,
        model,
        data.task,
        part,
        split,
        torch.cat(readouts),
        spec.name,
        executions.used_shots,
        {"seed": seed},
        exact,
    )
