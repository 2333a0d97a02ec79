"""Training from Python: an experiment by its name, as a mapping or as an object, without a reporter to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.progress import TrainingBar
from qlam_qiskit.run import Run
from qlam_qiskit.runs import Experiment, load_experiment
from qlam_qiskit.training import Reporter
from qlam_qiskit.training import train as _train


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
        folder, _ = _train(
            loaded,
            name or called,
            listener,
            out=_path(out),
            data_dir=_path(data_dir),
            backends=_path(backends),
            resume=resume,
            should_stop=should_stop,
            say=say,
        )
        return Run(folder, _path(data_dir))

    if reporter is None and progress:
        with TrainingBar(loaded.training.epochs) as bar:
            return run(bar, bar.say)
    return run(reporter or _Silent(), lambda line: None)


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
