"""Runs an experiment from its data to its figures on the test set, in a new folder or one to be resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qlam_qiskit.backends import BackendSpec, load_registry
from qlam_qiskit.baselines import Baseline, count_parameters
from qlam_qiskit.data import SequenceData, load_data, validation_split
from qlam_qiskit.errors import BusyError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM
from qlam_qiskit.network import BackendExecutions
from qlam_qiskit.runs import (
    Experiment,
    RunFolder,
    build_model,
    check_description,
    check_model_memory,
    describe,
    load_checkpoint,
    load_weights,
    read_circuit,
    write_circuit,
)
from qlam_qiskit.training.compiling import compile_loops
from qlam_qiskit.training.distributed import ALONE, Ranks
from qlam_qiskit.training.scoring import clean_accuracy, quality_of_split
from qlam_qiskit.training.solving import HeadSolver, is_solved
from qlam_qiskit.training.trainer import Reporter, Trainer
from qlam_qiskit.versions import installed_versions
from qlam_qiskit.workspace import make_private_folder

_KEPT = ("validation_accuracy", "train_accuracy", "validation_nrmse", "train_nrmse")
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
    say: Callable[[str], None] = lambda line: None,
    ranks: Ranks = ALONE,
    test: bool = True,
    on_begin: Callable[[RunFolder], None] = lambda folder: None,
) -> tuple[RunFolder, dict[str, Any]]:
    """Train an experiment and test its best weights once; returns the run's folder and its result.

    A model that is trained with noise (``model.noise``) is tested with it, and without it beside that.

    A run that is resumed after it finished is not trained again. Without ``test`` the test set is not looked at, as a
    search must not; the result then says parameters and seconds, and is not kept: such a run is tested by resuming it.
    Raises QlamError when the data, the backend or the folder do not allow it, and Interrupted when ``should_stop`` said
    so. ``say`` hears what a reader of the numbers should know, ``on_begin`` of the run's folder before training goes on
    in it. Where several ``ranks`` train together all call this alike; rank 0's registry counts, and its folder.
    """
    named = ranks.from_first(lambda: load_registry(backends).spec(experiment.backend))
    spec, ranks = _divided(named, ranks)
    data = ranks.in_turn(lambda: load_data(experiment.data, data_dir))
    with ranks.together():
        check_model_memory(experiment.model, data, experiment.training.batch_size)
        executions = BackendExecutions(spec, seed=experiment.seed)
        model = build_model(experiment.model, data, executions, experiment.seed)
        noisy = _suffer(model)
    ranks.check_same(lambda: {**describe(model, data), **_digests(model, data)})
    fraction = experiment.training.validation_fraction
    training, validation = data.train, None
    if fraction:
        training, validation = validation_split(data.train, fraction, experiment.seed)
    folder = ranks.from_first(lambda: _choose_folder(experiment, name, out, resume, ranks))
    with ExitStack() as held:
        ranks.from_first(lambda: _take(folder, held))
        if (result := ranks.from_first(folder.result)) is not None:
            if not folder.circuit.exists():
                ranks.from_first(lambda: has_begun(folder, model, data, named))
            return folder, result
        trainer = (HeadSolver if is_solved(experiment.model) else Trainer)(
            model, training, validation, experiment.training, experiment.seed, folder, executions.generators, ranks
        )
        with folder.written():
            begun = ranks.from_first(lambda: has_begun(folder, model, data, named))
            if noisy is not None:
                # Of the calibration of that time, whatever is installed by now; and what all ranks train on.
                model.suffer(ranks.from_first(lambda: _kept_noise(folder, noisy, begun)))
            if begun:
                trainer.resume(say)
            ranks.from_first(lambda: on_begin(folder))
            sizes = [len(split) for split in (validation, data.test) if split is not None]
            batch = experiment.training.batch_size
            ranks.from_first(lambda: compile_loops(model, spec, len(training), sizes, batch, reporter, should_stop))
            trainer.run(reporter, should_stop)
            if not test:
                return folder, _cost(model, trainer)
            return folder, _test(folder, model, data, trainer, experiment, spec.name, ranks)


def train_on(
    experiment: Experiment, name: str, reporter: Reporter, out: Path, **options: Any
) -> tuple[RunFolder, dict]:
    """Train an experiment in ``out`` from wherever it was left there, if it was begun; ``options`` are those of train.

    Several processes may call it at once: one trains. Raises BusyError in the others, before data are loaded, and else
    what :func:`train` raises.
    """
    folder = RunFolder(out)
    with folder.written():
        make_private_folder(out)
    if folder.is_busy():
        raise BusyError(f"{out}: another process is training this run")
    return train(experiment, name, reporter, out=out, resume=True, **options)


def _take(folder: RunFolder, held: ExitStack) -> None:
    """Hold a run's lock from now on, and remove what a killed process left in its folder."""
    held.enter_context(folder.locked())
    with folder.written():
        folder.sweep()


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
        return _folder_to_resume(experiment, begun)
    if resume:
        old = RunFolder(out) if out else RunFolder.latest(name)
        if not old.is_vacant():
            return _folder_to_resume(experiment, old.path)
        begun = old.path  # nothing was begun there: a process was killed, or the disk was full
    if begun is None and out is not None and (not out.exists() or RunFolder(out).is_vacant()):
        ranks.remember_folder(out)  # before it is made, lest a process killed meanwhile leave one that is in the way
    try:
        folder = RunFolder.create(experiment, name, begun or out)
    except ConfigurationError:
        if begun is None:
            raise
        raise BusyError(f"{begun}: another process has just begun a run here") from None
    ranks.remember_folder(folder.path)
    return folder


def has_begun(folder: RunFolder, model: QLAM | Baseline, data: SequenceData, spec: BackendSpec) -> bool:
    """Whether a run has a checkpoint to go on from; one that has none, being new or killed early, is described."""
    if any(path.exists() for path in (folder.last, folder.previous, folder.best)):
        check_description(folder, model, data)
        _check_backend(folder, spec)
        if isinstance(model, QLAM) and not folder.circuit.exists():  # a run from before circuits were kept
            folder.write_json("run.json", {**folder.description(), **_keep_circuit(folder, model)})
        return True
    description = {**describe(model, data), **_keep_circuit(folder, model)}
    backend = {"backend": spec.name, "backend_settings": _backend_settings(spec)}
    folder.write_json("run.json", {**description, **backend, "versions": installed_versions(*_PACKAGES)})
    return False


def _backend_settings(spec: BackendSpec) -> dict[str, Any]:
    """Return all that a backend's entry says but its name and its threads, which change no number's meaning."""
    return spec.model_dump(mode="json", exclude={"name", "threads"})


def _check_backend(folder: RunFolder, spec: BackendSpec) -> None:
    """Compare the backend that a run was started on with today's entry; raises ConfigurationError if they differ."""
    then = folder.description()
    kept = {"name": then.get("backend"), **then.get("backend_settings", {})}
    now = {"name": spec.name, **_backend_settings(spec)}
    if "backend_settings" not in then:  # a run from before they were kept
        now = {"name": spec.name}
    if (difference := _first_difference(now, kept)) is not None:
        key, given, before = difference
        raise ConfigurationError(
            f"{folder.path}: started on backend {then.get('backend')!r} with {key} = {before}, not {given} as the "
            "registry now says; resume it as it was started"
        )


def _keep_circuit(folder: RunFolder, model: QLAM | Baseline) -> dict[str, str]:
    if not isinstance(model, QLAM):
        return {}
    return {"circuit_digest": write_circuit(folder.circuit, model.circuit)}


def _suffer(model: QLAM | Baseline) -> MemoryCircuit | None:
    """Train a model on the errors that its settings name; returns its circuit with these, if any."""
    noisy = model.noisy_circuit() if isinstance(model, QLAM) else None
    if noisy is not None:
        model.suffer(noisy)
    return noisy


def _kept_noise(folder: RunFolder, noisy: MemoryCircuit, begun: bool) -> MemoryCircuit:
    """Return the noisy circuit that a run began with, as its folder has it: the same bits when it is resumed."""
    description = folder.description()
    if not begun:
        description["noisy_circuit_digest"] = write_circuit(folder.noisy_circuit, noisy)
        folder.write_json("run.json", description)
    return read_circuit(folder.noisy_circuit, description.get("noisy_circuit_digest"))


def _folder_to_resume(experiment: Experiment, path: Path) -> RunFolder:
    folder = RunFolder.open(path)
    if (folder.path / "run.json").exists() and "refit" in folder.description():
        raise ConfigurationError(f"{folder.path}: a refitted run, which has nothing to resume; train the one it is of")
    if (difference := _first_difference(experiment.model_dump(), folder.experiment().model_dump())) is not None:
        key, now, then = difference
        raise ConfigurationError(f"{folder.path}: started with {key} = {then}, not {now}; resume it as it was started")
    return folder


def _first_difference(now: Any, then: Any, key: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(now, dict) and isinstance(then, dict):
        for name in dict.fromkeys((*now, *then)):
            found = _first_difference(now.get(name), then.get(name), f"{key}.{name}" if key else name)
            if found is not None:
                return found
        return None
    return None if now == then else (key, now, then)


def _cost(model: QLAM | Baseline, trainer: Trainer) -> dict[str, Any]:
    return {"parameters": count_parameters(model), "train_seconds": round(trainer.seconds, 2)}


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
    batch_size = experiment.training.batch_size
    loss, figures = quality_of_split(model, data, data.test, batch_size, ranks, seed=experiment.seed)
    noise: dict[str, Any] = {}
    if isinstance(model, QLAM) and str(model.noise):
        noise["test_noise"] = str(model.noise)
        if data.targets is None:
            noise["clean_test_accuracy"] = ranks.from_first(lambda: clean_accuracy(model, data.test, batch_size))
    result = {
        "task": data.task,
        **{f"test_{name}": value for name, value in figures.items()},
        "test_loss": loss,
        "test_samples": len(data.test),
        **noise,
        **{key: value for key, value in best.state.items() if key in _KEPT},
        "best_epoch": best.state["epoch"],
        "epochs": experiment.training.epochs,
        **_cost(model, trainer),
        "backend": backend,
        "seed": experiment.seed,
    }
    if ranks.first:
        folder.write_json("result.json", result)
        folder.previous.unlink(missing_ok=True)
    return ranks.from_first(lambda: result)
