"""Training and searching from Python: an experiment by its name, as a mapping or as an object, without a reporter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlam_qiskit.cluster import cluster
from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.extras import require
from qlam_qiskit.progress import TrainingBar
from qlam_qiskit.run import Run
from qlam_qiskit.runs import Experiment, load_experiment
from qlam_qiskit.searching import Space
from qlam_qiskit.tracking import Tracker, Tracking
from qlam_qiskit.training import Reporter
from qlam_qiskit.training import train as _train
from qlam_qiskit.workspace import workspace

if TYPE_CHECKING:
    from qlam_qiskit.searching import Findings

_MOST_TRIALS = 100_000


class _Silent:
    """Hears of progress and says nothing."""

    def compiling(self, done: int, total: int, seconds: int) -> None:
        """Hear of the engine's loops."""

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float | None) -> None:
        """Hear of a step."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Hear of an epoch."""


def train(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    *,
    name: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    backends: str | Path | None = None,
    backend: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    progress: bool = True,
    reporter: Reporter | None = None,
    track: Iterable[str | Tracker] = (),
    should_stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train an experiment, and test its best weights once.

    Parameters
    ----------
    experiment
        A name (one of ``find_experiments()``), a YAML file, the keys of such a file as a mapping, or an ``Experiment``.
    name
        What the run's folder in ``./runs`` (or ``QLAM_HOME``) is called; by default as the experiment.
    out
        The run's folder itself, instead.
    data_dir
        A folder that holds one for each data set; by default ``QLAM_DATA``, or the user's cache.
    backends
        The backend registry; by default ``QLAM_BACKENDS``, ``./backends.yaml`` or the built-in one.
    backend, seed
        Take the place of the experiment's.
    resume
        Continue the run in ``out``, or the newest of that name, to the numbers of one that was never stopped.
    progress
        Show a bar and a line for each epoch on stderr.
    reporter
        Hears of steps and epochs, in place of the bar.
    track
        Trackers that hear of settings, steps, epochs, figures and files: "tensorboard", "mlflow", "wandb", or objects
        with the methods of :class:`~qlam_qiskit.tracking.Tracker`.
    should_stop
        Asked after each step; True saves the run and raises :class:`~qlam_qiskit.training.Interrupted`.

    Returns
    -------
    Run
        The trained run; ``.result`` has the test set's accuracy or errors, ``.metrics`` one row for each epoch.

    Raises
    ------
    QlamError
        When the experiment is not valid, or the data, the backend or the folder do not allow it.
    """
    loaded, called = _loaded(experiment, seed, backend)

    def run(listener: Reporter, say: Callable[[str], None]) -> Run:
        with Tracking(track, say) as tracking:
            folder, result = _train(
                loaded,
                name or called,
                tracking.around(listener),
                out=_path(out),
                data_dir=_path(data_dir),
                backends=_path(backends),
                resume=resume,
                should_stop=should_stop,
                say=say,
                on_begin=tracking.begin,
            )
            tracking.finish(folder, result, _path(data_dir))
        return Run(folder, _path(data_dir))

    if reporter is None and progress:
        with TrainingBar(loaded.training.epochs) as bar:
            return run(bar, bar.say)
    return run(reporter or _Silent(), lambda line: None)


def search(
    experiment: str | Path | Mapping[str, Any] | Experiment,
    space: str | Path | Mapping[str, Any] | Space | None = None,
    *,
    trials: int = 20,
    sampler: str = "tpe",
    pruner: str = "median",
    storage: str | None = None,
    name: str | None = None,
    search_seed: int = 0,
    data_dir: str | Path | None = None,
    backends: str | Path | None = None,
    backend: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    dask: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Findings:
    """Search for the settings of an experiment that do best on its validation samples.

    Called again it goes on with the study, which any number of processes and machines may do at once.

    Parameters
    ----------
    experiment
        As of :func:`train`; what the space does not name stays.
    space
        Which keys are searched, over which values: a YAML file, or its keys as a mapping, such as
        ``{"training.circuit_rate": {"float": [0.001, 0.1], "log": True}, "model.circuit.template": ["ring", "line"]}``.
        By default both learning rates and a memory's scales, around the experiment's own.
    trials
        How many the study is to have in all, with those that it has.
    sampler, pruner
        Optuna's, by name: tpe, random, grid, cmaes, gp or qmc; median, hyperband, halving or none.
    storage
        Where the study is kept: a URL as Optuna takes it, or the path of Optuna's journal; by default SQLite in the
        study's folder.
    name
        What the study is called, by default as the experiment; its folder is ``search/NAME`` in ``./runs``.
    search_seed
        What the sampler draws from; ``seed`` is the trainings' own.
    data_dir, backends, backend, seed
        As of :func:`train`.
    workers, dask
        Train in so many processes here, or in those of the scheduler at this address. A script that starts processes
        guards its own work by ``if __name__ == "__main__":``.
    progress
        Show bars and lines on stderr.
    say
        Hears the lines instead, where ``progress`` is False.
    should_stop
        Asked after each step; True saves the trials in hand and raises :class:`~qlam_qiskit.training.Interrupted`.

    Returns
    -------
    Findings
        ``.best`` has the best trial's point, experiment and file, ``.study`` is Optuna's, ``.page`` shows it.

    Raises
    ------
    QlamError
        When the experiment or the space is not valid, the study is of another, or no trial can be trained.
    """
    for module in ("optuna", "matplotlib"):  # which draws the study's page
        require(module, "search", "a search")
    from qlam_qiskit.searching import Task
    from qlam_qiskit.searching import search as _search

    loaded, called = _loaded(experiment, seed, backend)
    if not 1 <= trials <= _MOST_TRIALS:
        raise ConfigurationError(f"trials: from 1 to {_MOST_TRIALS:,} (got {trials})")
    name = name or called
    if not name or name != Path(name).name:
        raise ConfigurationError(f"{name!r} is no name of a study: it is that of a folder")
    task = Task(
        name,
        loaded,
        _space(space, loaded),
        workspace() / "search" / name,
        url=storage,
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        seed=search_seed,
        data_dir=_path(data_dir),
        backends=_path(backends),
    )

    @contextmanager
    def follow(trial: str, epochs: int) -> Iterator[Reporter]:
        with TrainingBar(epochs, quiet=not progress) as bar:
            yield bar

    with cluster(workers, dask) as processes:
        if dask is not None and storage is None and not processes.is_local():
            raise ConfigurationError(
                "--dask: machines cannot share SQLite's file; give --storage, such as study.journal in a folder that "
                "all of them see"
            )
        heard = TrainingBar(0).say if progress else say
        return _search(task, follow, say=heard, should_stop=should_stop, cluster=processes)


def _space(space: str | Path | Mapping[str, Any] | Space | None, experiment: Experiment) -> Space:
    if space is None:
        return Space.around(experiment)
    if isinstance(space, Space):
        return space
    return Space.of(space) if isinstance(space, Mapping) else Space.read(Path(space))


def _loaded(
    experiment: str | Path | Mapping[str, Any] | Experiment, seed: int | None, backend: str | None
) -> tuple[Experiment, str]:
    """Return a checked experiment, and what to call its runs."""
    if isinstance(experiment, str | Path):
        return load_experiment(str(experiment), seed=seed, backend=backend), Path(experiment).stem
    given = {key: value for key, value in (("seed", seed), ("backend", backend)) if value is not None}
    if isinstance(experiment, Experiment):
        return check(Experiment, {**experiment.model_dump(), **given}, "experiment"), experiment.data.dataset
    if isinstance(experiment, Mapping):
        loaded = check(Experiment, {**experiment, **given}, "experiment")
        return loaded, loaded.data.dataset
    raise ConfigurationError(
        f"an experiment is a name, a YAML file, a mapping or an Experiment, not {type(experiment).__name__}"
    )


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
