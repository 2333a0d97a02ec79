"""Runs an experiment from its data to the test set's accuracy, in a new folder or one to be resumed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qlam_qiskit.backends import load_registry
from qlam_qiskit.data import SequenceData, load_data, validation_split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.train.building import build_model, check_description, describe
from qlam_qiskit.train.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.train.run_folder import RunFolder
from qlam_qiskit.train.settings import Experiment
from qlam_qiskit.train.trainer import Reporter, Trainer, score_split

_PACKAGES = ("qlam-qiskit", "qiskit", "qiskit-aer", "qiskit-machine-learning", "torch", "numpy", "numba")


def train(
    experiment: Experiment,
    name: str,
    reporter: Reporter,
    *,
    out: Path | None = None,
    data_dir: Path | None = None,
    backends: Path | None = None,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[RunFolder, dict[str, Any]]:
    """Train an experiment and test its best weights once; returns the run's folder and its result.

    A run that is resumed after it finished is not trained again. Raises QlamError when the data, the backend or the
    folder do not allow it, and Interrupted when ``should_stop`` said so.
    """
    spec = load_registry(backends).spec(experiment.backend)
    data = load_data(experiment.data, data_dir)
    executions = BackendExecutions(spec, seed=experiment.seed)
    model = build_model(experiment.model, data, executions, experiment.seed)
    fraction = experiment.training.validation_fraction
    training, validation = data.train, None
    if fraction:
        training, validation = validation_split(data.train, fraction, experiment.seed)
    if resume:
        folder = _folder_to_resume(experiment, name, out)
        if (result := folder.result()) is not None:
            return folder, result
    else:
        folder = RunFolder.create(experiment, name, out)
    trainer = Trainer(model, training, validation, experiment.training, experiment.seed, folder, executions.generators)
    if folder.last.exists():
        check_description(folder, model, data)
        trainer.resume()
    else:  # also when a run was killed before its first checkpoint
        folder.write_json("run.json", {**describe(model, data), "backend": spec.name, "versions": _versions()})
    trainer.run(reporter, should_stop)
    return folder, _test(folder, model, data, trainer, experiment, spec.name)


def _folder_to_resume(experiment: Experiment, name: str, out: Path | None) -> RunFolder:
    folder = RunFolder.open(out) if out else RunFolder.latest(name)
    if (difference := _first_difference(experiment.model_dump(), folder.experiment().model_dump())) is not None:
        key, now, then = difference
        raise ConfigurationError(f"{folder.path}: started with {key} = {then}, not {now}; resume it as it was started")
    return folder


def _first_difference(now: Any, then: Any, key: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(now, dict) and isinstance(then, dict):
        for name in now.keys() | then.keys():
            found = _first_difference(now.get(name), then.get(name), f"{key}.{name}" if key else name)
            if found is not None:
                return found
        return None
    return None if now == then else (key, now, then)


def _test(
    folder: RunFolder, model: QLAM, data: SequenceData, trainer: Trainer, experiment: Experiment, backend: str
) -> dict[str, Any]:
    best = load_checkpoint(folder.best)
    load_weights(model, best, folder.best)
    loss, accuracy = score_split(model, data.test, experiment.training.batch_size)
    result = {
        "task": data.task,
        "test_accuracy": accuracy,
        "test_loss": loss,
        "test_samples": len(data.test),
        **{key: value for key, value in best.state.items() if key in ("validation_accuracy", "train_accuracy")},
        "best_epoch": best.state["epoch"],
        "epochs": experiment.training.epochs,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "train_seconds": round(trainer.seconds, 2),
        "backend": backend,
        "seed": experiment.seed,
    }
    folder.write_json("result.json", result)
    return result


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}
