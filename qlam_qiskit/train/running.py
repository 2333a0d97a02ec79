"""Runs an experiment from its data to the test set's accuracy, in a new folder or one to be resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.baselines import count_parameters
from qlam_qiskit.data import SequenceData, load_data, validation_split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM
from qlam_qiskit.network.selection import BackendExecutions
from qlam_qiskit.runs.building import build_model, check_description, describe
from qlam_qiskit.runs.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.train.distributed import ALONE, Ranks
from qlam_qiskit.train.scoring import score_split
from qlam_qiskit.train.trainer import Reporter, Trainer

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
    ranks: Ranks = ALONE,
) -> tuple[RunFolder, dict[str, Any]]:
    """Train an experiment and test its best weights once; returns the run's folder and its result.

    A run that is resumed after it finished is not trained again. Raises QlamError when the data, the backend or the
    folder do not allow it, and Interrupted when ``should_stop`` said so. Where several ``ranks`` train together all
    call this alike; rank 0's registry counts, and its folder.
    """
    spec = ranks.from_first(lambda: load_registry(backends).spec(experiment.backend))
    spec, ranks = _divided(spec, ranks)
    data = ranks.in_turn(lambda: load_data(experiment.data, data_dir))
    with ranks.together():
        executions = BackendExecutions(spec, seed=experiment.seed)
        model = build_model(experiment.model, data, executions, experiment.seed)
    ranks.check_same(lambda: {**describe(model, data), **_digests(model, data)})
    fraction = experiment.training.validation_fraction
    training, validation = data.train, None
    if fraction:
        training, validation = validation_split(data.train, fraction, experiment.seed)
    folder = ranks.from_first(lambda: _choose_folder(experiment, name, out, resume, ranks))
    if (result := ranks.from_first(folder.result)) is not None:
        return folder, result
    trainer = Trainer(
        model, training, validation, experiment.training, experiment.seed, folder, executions.generators, ranks
    )
    if ranks.from_first(lambda: has_begun(folder, model, data, spec.name)):
        trainer.resume()
    trainer.run(reporter, should_stop)
    return folder, _test(folder, model, data, trainer, experiment, spec.name, ranks)


def _divided(spec: BackendSpec, ranks: Ranks) -> tuple[BackendSpec, Ranks]:
    """Fit a backend to the ranks of a machine: processors, GPUs; raises ConfigurationError when it draws at random."""
    if ranks.size == 1:
        return spec, ranks
    if spec.kind == "exact" and spec.shots is None:
        if spec.threads is None:
            spec = spec.model_copy(update={"threads": ranks.threads})
        return spec, ranks.on_gpus() if spec.device == "cuda" else ranks
    if spec.kind == "aer" and spec.shots is None and spec.gradient != "spsa":
        return spec, ranks
    raise ConfigurationError(
        f"backend {spec.name!r} draws at random, which {ranks.size} ranks cannot do as one would: train on one of kind "
        "exact, or of kind aer with neither shots, noise nor gradient: spsa, or in one process"
    )


def _digests(model: QLAM, data: SequenceData) -> dict[str, str]:
    """Hash what ranks must have in common for their gradients to fit together."""
    weights, labels = hashlib.sha256(), hashlib.sha256(data.train.labels.tobytes() + data.test.labels.tobytes())
    for tensor in model.state_dict().values():
        weights.update(tensor.numpy().tobytes())
    return {"digest of labels": labels.hexdigest()[:16], "digest of first weights": weights.hexdigest()[:16]}


def _choose_folder(experiment: Experiment, name: str, out: Path | None, resume: bool, ranks: Ranks) -> RunFolder:
    """Make a run's folder, or find the one to resume: after a restart by torchrun, the one that was begun before."""
    begun = ranks.remembered_folder()
    if begun is not None and (begun / "experiment.yaml").exists():
        return _folder_to_resume(experiment, name, begun)
    if resume:
        return _folder_to_resume(experiment, name, out)
    if begun is not None:
        _clear_unfinished(begun)
    elif out is not None and not (out.is_dir() and any(out.iterdir())):
        ranks.remember_folder(out)  # before it is made, lest a process killed meanwhile leave one that is in the way
    folder = RunFolder.create(experiment, name, begun or out)
    ranks.remember_folder(folder.path)
    return folder


def _clear_unfinished(folder: Path) -> None:
    """Remove what a process leaves that was killed while it made a run's folder."""
    for path in folder.glob(".experiment.yaml.*"):
        path.unlink()
    if (folder / "checkpoints").is_dir():
        (folder / "checkpoints").rmdir()


def has_begun(folder: RunFolder, model: QLAM, data: SequenceData, backend: str) -> bool:
    """Whether a run has a checkpoint to go on from; one that has none, being new or killed early, is described."""
    if folder.last.exists():
        check_description(folder, model, data)
        return True
    folder.write_json("run.json", {**describe(model, data), "backend": backend, "versions": _versions()})
    return False


def _folder_to_resume(experiment: Experiment, name: str, out: Path | None) -> RunFolder:
    folder = RunFolder.open(out) if out else RunFolder.latest(name)
    if (folder.path / "run.json").exists() and "refit" in folder.description():
        raise ConfigurationError(f"{folder.path}: a refitted run, which has nothing to resume; train the one it is of")
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
    folder: RunFolder,
    model: QLAM,
    data: SequenceData,
    trainer: Trainer,
    experiment: Experiment,
    backend: str,
    ranks: Ranks,
) -> dict[str, Any]:
    best = ranks.from_first(lambda: load_checkpoint(folder.best))
    load_weights(model, best, folder.best)
    loss, accuracy = score_split(model, data.test, experiment.training.batch_size, ranks)
    result = {
        "task": data.task,
        "test_accuracy": accuracy,
        "test_loss": loss,
        "test_samples": len(data.test),
        **{key: value for key, value in best.state.items() if key in ("validation_accuracy", "train_accuracy")},
        "best_epoch": best.state["epoch"],
        "epochs": experiment.training.epochs,
        "parameters": count_parameters(model),
        "train_seconds": round(trainer.seconds, 2),
        "backend": backend,
        "seed": experiment.seed,
    }
    if ranks.first:
        folder.write_json("result.json", result)
    return ranks.from_first(lambda: result)


def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}
