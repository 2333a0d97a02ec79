"""Measures a trained model's samples on any backend of the registry, scores them, and keeps the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.evaluation.measured import Measured
from qlam_qiskit.evaluation.on_device import check_mitigation, collect, prepare, run_on_device
from qlam_qiskit.jobs import Ledger
from qlam_qiskit.model import QLAM
from qlam_qiskit.network import BackendExecutions
from qlam_qiskit.runs import Part, SavedRun, outputs

_BATCH = {"exact": 512, "aer": 20}  # samples at once; simulated circuit by circuit, fewer report more often


def evaluate(run: SavedRun | Path | str, **options: Any) -> dict[str, Any]:
    """Return accuracy and loss of a run on the first ``limit`` samples of a part of its data, by default the test set.

    Options are those of :func:`measure`. The outcome is added to the run's evaluations.jsonl; where that cannot be
    written, ``report`` hears of it.
    """
    return _scored(lambda: measure(run, **options), options.get("report", _silent))


def evaluate_submission(
    run: SavedRun | Path | str,
    submission: str,
    *,
    mitigate: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Return accuracy and loss of what was submitted before, as :func:`evaluate` does."""
    return _scored(lambda: measure_submission(run, submission, mitigate=mitigate), report)


def measure(
    run: SavedRun | Path | str,
    *,
    backend: str | BackendSpec | None = None,
    part: Part = "test",
    shots: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
    mitigate: bool = False,
    anyway: bool = False,
    confirm: Callable[[str], bool] = lambda question: False,
    backends: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[str], None] = lambda line: None,
) -> Measured:
    """Return the readouts of a run's first ``limit`` samples of a part of its data.

    ``backend`` is by default the one the run was trained on, with the noise of its training (``model.noise``), if
    there was any: as the run itself was tested. A named backend has its own noise only. ``shots`` overrides the
    registry's, and ends the noise of training. The exact engine and
    Aer run here; devices, fake ones too, run through the job ledger, where ``mitigate`` undoes readout errors and
    ``anyway`` sends what the plan advises against. ``progress`` hears of samples, or of a device's jobs.
    """
    run = SavedRun.open(run)
    spec = load_registry(backends).spec(backend or run.experiment.backend)
    if spec.kind in _BATCH:
        if mitigate:
            raise ConfigurationError(f"--mitigate: backend {spec.name!r} is no device with a calibration of its own")
        return _measure_here(run, spec, part, shots, limit, seed, progress, as_trained=not (backend or shots))
    if mitigate:
        check_mitigation(run.qlam(), getattr(spec, "primitive", "sampler"))
    prepared = prepare(run, spec, part=part, shots=shots, limit=limit, seed=seed)
    submission = run_on_device(prepared, anyway=anyway, confirm=confirm, progress=progress, report=report)
    return measure_submission(run, submission, mitigate=mitigate)


def measure_submission(run: SavedRun | Path | str, submission: str, *, mitigate: bool = False) -> Measured:
    """Return the readouts of what was submitted before, from its saved results."""
    with Ledger() as ledger:
        return collect(run, submission, ledger, mitigate=mitigate)


def _scored(take: Callable[[], Measured], report: Callable[[str], None]) -> dict[str, Any]:
    began = time.perf_counter()
    measured = take()
    result = {**measured.score(), "seconds": round(time.perf_counter() - began, 3)}
    try:
        measured.run.folder.append("evaluations.jsonl", result)
    except QlamError as error:
        report(f"not kept: {error}")
    return result


def _measure_here(
    run: SavedRun,
    spec: BackendSpec,
    part: Part,
    shots: int | None,
    limit: int | None,
    seed: int | None,
    progress: Callable[[int, int], None],
    as_trained: bool,
) -> Measured:
    seed = run.experiment.seed if seed is None else seed
    executions = BackendExecutions(spec, shots=shots, seed=seed)
    model = run.model(executions)
    split = run.part(part, limit)
    noise = str(model.noise) if isinstance(model, QLAM) else ""
    exact = spec.kind == "exact" and executions.used_shots is None and spec.noise is None
    saved = as_trained or not noise if exact else False
    if not saved:
        model.check_samples(len(split))
    origin, size = {"seed": seed}, _BATCH[spec.kind]
    used_shots = executions.used_shots
    with ExitStack() as held:
        if as_trained and noise:
            held.enter_context(model.as_trained(seed))
            origin["noise"], size = noise, run.experiment.training.batch_size  # the draws of the training's own test
            used_shots = used_shots or model.noise.shots
        readouts = [found for _, found in outputs(model.read, split, size, progress=progress)]
    return Measured(run, model, part, split, torch.cat(readouts), spec.name, used_shots, origin, saved)


def _silent(line: str) -> None:
    pass
