"""The last linear layer refitted on readouts of a backend: a device shrinks, shifts and mixes what the head expects.

Training samples run on the backend once. For each of them the exact engine says which logits the head should give, and
the linear map from noisy readouts to those logits is a ridge regression, solved here on the CPU. Thousands of exact
numbers say more about a map than hundreds of labels do: logistic regression on the samples' labels, many of which the
model has learned by heart, came out worse (docs/hardware-models.md). The memory stays as it was, no label is used, and
the test set is not touched.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.evaluation.evaluate import measure, measure_submission
from qlam_qiskit.evaluation.measured import Measured
from qlam_qiskit.runs import (
    Checkpoint,
    RunFolder,
    SavedRun,
    check_new_name,
    load_checkpoint,
    outputs,
    quality,
    save_checkpoint,
)
from qlam_qiskit.workspace import make_private_folder, workspace

# Strengths of the L2 penalty, on standardized readouts and the sum over samples.
_PENALTIES = np.logspace(-2, 4, 13)
_FOLDS = 5
_FEWEST_SAMPLES = 32


@dataclass(frozen=True)
class Head:
    """A linear map from F readouts to L logits: ``weight`` (L, F) and ``bias`` (L,), and the penalty chosen."""

    weight: np.ndarray
    bias: np.ndarray
    penalty: float


def refit(
    run: SavedRun | Path | str,
    *,
    samples: int | None = None,
    submission: str | None = None,
    mitigate: bool = False,
    out: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Refit a run's head on its first ``samples`` training samples, and write a new run folder that has it.

    They are samples that the run was trained on, none of its validation split. They run where and as ``options`` say,
    those of :func:`~qlam_qiskit.evaluation.evaluate.measure`; or ``submission`` names such samples that were sent
    before. The folder is ``out``, or the run's with ``-refit-`` and the backend's name. Returns what was done, with
    the accuracy (or NRMSE) on these samples by the old head and, cross-validated, by the new one.
    """
    run = SavedRun.open(run)
    _check_source(run)
    _check_place(out)
    if submission is not None:
        measured = measure_submission(run, submission, mitigate=mitigate)
        if measured.part != "train":
            raise ConfigurationError(f"--submission: {submission} is of {measured.part} samples, not of training ones")
    else:
        _check_samples(samples)
        measured = measure(run, part="train", limit=samples, mitigate=mitigate, **options)
    _check_samples(len(measured.split))
    if measured.model.every_step:
        raise ConfigurationError(f"{run.path}: answers at every step; refitting is for answers at the end")
    features = measured.features().numpy()
    targets = _exact_logits(measured)
    figures = _cross_validated(features, targets, measured)
    head = fit_head(features, targets)
    record = {
        "of": run.folder.reference,
        "samples": len(measured.split),
        "backend": measured.backend,
        "shots": measured.shots,
        **measured.origin,
        "penalty": head.penalty,
        **{f"{name}_before": measured.score()[name] for name in figures},
        **{f"{name}_after": value for name, value in figures.items()},
    }
    return {"run": str(_write(measured, head, record, out)), **record}


def fit_head(features: np.ndarray, logits: np.ndarray) -> Head:
    """Fit logits (N, L) to features (N, F) by ridge regression, with the penalty that leaving samples out favours."""
    from sklearn.linear_model import RidgeCV

    features = features.astype(float)
    mean, std = features.mean(0), features.std(0)
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 1e-6)  # what never changes says nothing
    ridge = RidgeCV(alphas=_PENALTIES).fit((features - mean) * scale, logits)
    weight = np.atleast_2d(ridge.coef_) * scale
    return Head(weight, ridge.intercept_ - weight @ mean, float(ridge.alpha_))


def _exact_logits(measured: Measured) -> np.ndarray:
    """Return the logits (N, M * C) that the run gives for the same samples on the exact engine."""
    logits = [found for _, found in outputs(measured.run.qlam(), measured.split)]
    return torch.cat(logits).flatten(1).double().numpy()


def _cross_validated(features: np.ndarray, targets: np.ndarray, measured: Measured) -> dict[str, float]:
    """Return the accuracy, or the NRMSE of numbers, on samples that the head was not fitted to."""
    found = np.empty(targets.shape)
    for fold in range(_FOLDS):
        held_out = np.arange(len(features)) % _FOLDS == fold
        head = fit_head(features[~held_out], targets[~held_out])
        found[held_out] = features[held_out] @ head.weight.T + head.bias
    outputs_of_head = torch.from_numpy(found).unflatten(1, (measured.model.answers, -1))
    figures = quality(outputs_of_head, measured.labels, measured.run.data.targets, measured.run.data.class_names)
    return {name: figures[name] for name in ("accuracy", "nrmse") if name in figures}


def _check_source(run: SavedRun) -> None:
    if "refit" in run.folder.description():
        raise ConfigurationError(f"{run.path}: refitted itself; refit the run that it is of")


def _check_place(out: Path | None) -> None:
    """Refuse before anything is paid for, not after."""
    if out is None:
        return
    check_new_name(out)
    if out.exists():
        raise ConfigurationError(f"{out}: already exists; choose another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{out}: cannot be made: {error.strerror}") from None


def _check_samples(count: int) -> None:
    if count < _FEWEST_SAMPLES:
        raise ConfigurationError(f"--samples: refitting needs at least {_FEWEST_SAMPLES} training samples, not {count}")


def _write(measured: Measured, head: Head, record: dict[str, Any], out: Path | None) -> Path:
    """Write the new run beside its place, and move it there when it is complete."""
    source = measured.run.folder
    checkpoint = load_checkpoint(source.best)
    tensors = {
        **checkpoint.group("model"),
        "head.weight": torch.from_numpy(head.weight).float(),
        "head.bias": torch.from_numpy(head.bias).float(),
    }
    record = {**record, "weights": source.weights_digest()}
    path = out or _free_place(source, measured.backend)
    building = RunFolder(Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.")))
    try:
        if not source.pretrained:
            building.path.chmod(source.path.stat().st_mode & 0o777)
        for name in ("experiment.yaml", "metrics.jsonl", source.circuit.name, source.noisy_circuit.name):
            if (source.path / name).exists():  # a run from before circuits were kept has none
                shutil.copy(source.path / name, building.path)
        building.write_json("run.json", {**source.description(), "refit": record})
        building.best.parent.mkdir()
        weights = {f"model/{name}": tensor for name, tensor in tensors.items()}
        save_checkpoint(building.best, Checkpoint(weights, {"epoch": checkpoint.state["epoch"], "refit": record}))
        building.path.rename(path)
    except BaseException:
        shutil.rmtree(building.path, ignore_errors=True)
        raise
    return path


def _free_place(source: RunFolder, backend: str) -> Path:
    """Return RUN-refit-BACKEND, with a number where that is taken; that of a pretrained run lies in the workspace."""
    run = source.path
    if source.pretrained:
        run = workspace() / source.path.name
        with source.written():
            make_private_folder(workspace())
    name = f"{run.resolve().name}-refit-{backend}"
    places = (run.with_name(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(place for place in places if not place.exists())
