"""Runs a search: any number of processes take trials of one study and train them, until it has as many as asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial

from qlam_qiskit.cluster import Cluster
from qlam_qiskit.errors import BackendError, DataError, Interrupted, QlamError, RunError
from qlam_qiskit.progress import EpochLines
from qlam_qiskit.runs import Experiment, RunFolder
from qlam_qiskit.searching.methods import Method
from qlam_qiskit.searching.results import Findings, write_results
from qlam_qiskit.searching.space import Space
from qlam_qiskit.searching.storage import Worker, open_storage
from qlam_qiskit.searching.study import Standing, Study, Taken
from qlam_qiskit.searching.training import train_trial, when_free
from qlam_qiskit.training import Reporter

_POLL_SECONDS = 0.5
# Follows the training of one trial, given its name and its epochs: entered when it starts.
Follow = Callable[[str, int], AbstractContextManager[Reporter]]


@dataclass(frozen=True)
class Task:
    """All that a process needs to work on a study.

    Attributes
    ----------
    name, url
        The study's name, and its storage's URL; None for SQLite in ``folder``.
    experiment, space
        What is varied, and over which values.
    folder
        Of the trials' run folders and the results.
    trials
        How many the study is to have, whoever trains them.
    sampler, pruner, seed
        See :class:`~qlam_qiskit.searching.methods.Method`.
    data_dir, backends
        As of a training.
    """

    name: str
    experiment: Experiment
    space: Space
    folder: Path
    url: str | None = None
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "median"
    seed: int = 0
    data_dir: Path | None = None
    backends: Path | None = None

    def open(self) -> Study:
        """Open the study, or begin it."""
        method = Method(self.sampler, self.pruner, self.seed, self.experiment.training.epochs)
        keeping = open_storage(self.url, self.folder)
        return Study.open(self.name, keeping, self.experiment, self.space, method, self.trials)


def search(
    task: Task,
    follow: Follow,
    *,
    say: Callable[[str], None] = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    cluster: Cluster | None = None,
) -> Findings:
    """Train trials until the study has as many as asked for; writes the best one's experiment, and a page.

    However this ends, calling it again goes on: a trial whose process was killed or stopped is trained on from its
    checkpoint, by whichever process comes to it first. Raises Interrupted when told to stop, ConfigurationError when
    the space does not fit the experiment or the study is of another, and QlamError when no trial can be trained.
    """
    task.space.check(task.experiment)
    study = task.open()
    if study.total < task.trials:
        say(f"the grid has {study.total} points")
    try:
        if cluster is None:
            work_on(task, follow, say, should_stop)
        else:
            _work_elsewhere(task, cluster, say, should_stop)
    except Interrupted:
        write_results(study, task.experiment, task.folder)
        raise Interrupted("interrupted; the study is kept, and the same command continues") from None
    if study.best() is None:
        failed = [entry for entry in study.entries() if entry.standing is Standing.FAILED]
        raise QlamError(f"none of {len(failed)} trials could be trained; trial {failed[0].number}: {failed[0].failure}")
    return write_results(study, task.experiment, task.folder)


def work_on(task: Task, follow: Follow, say: Callable[[str], None], should_stop: Callable[[], bool]) -> None:
    """Take trials of a study and train them until all of them have come to their end, here or elsewhere."""
    study = task.open()
    with Worker(study.keeping) as worker:
        while True:
            taken = study.take(worker)
            if taken is not None:
                say(f"trial {taken.number} ({taken.ordinal + 1} of {study.total}): {_said(taken.point)}")
                say(f"trial {taken.number}: {_train(task, study, worker, taken, follow, should_stop)}")
            elif study.is_done():
                return
            if should_stop():
                raise Interrupted("interrupted")
            if taken is None:
                time.sleep(_POLL_SECONDS)


def work_from_afar(task: Task, *, say: Callable[[str], None], should_stop: Callable[[], bool]) -> None:
    """Work on a study in a process of a cluster."""
    work_on(task, lambda name, epochs: nullcontext(EpochLines(name, epochs, say)), say, should_stop)


def _work_elsewhere(task: Task, cluster: Cluster, say: Callable[[str], None], should_stop: Callable[[], bool]) -> None:
    calls = [(task,)] * max(1, min(len(cluster.workers), task.trials))
    found = list(cluster.run(work_from_afar, calls, say=say, should_stop=should_stop))
    errors = [outcome for _, outcome in found if isinstance(outcome, QlamError)]
    for error in sorted(errors, key=lambda error: isinstance(error, Interrupted)):
        raise error


def _train(
    task: Task, study: Study, worker: Worker, taken: Taken, follow: Follow, should_stop: Callable[[], bool]
) -> str:
    """Train a trial and keep how it ended, which is said."""
    path, kept = task.folder / f"trial-{taken.number:04d}", True
    try:
        experiment = task.space.apply(task.experiment, taken.point)
        _check_own(path, experiment)
        name = f"trial {taken.number}"
        with worker.beating(taken.trial._trial_id), follow(name, experiment.training.epochs) as reporter:
            pruning = _Pruning(reporter, taken.trial, RunFolder(path))
            options = {"data_dir": task.data_dir, "backends": task.backends, "should_stop": should_stop}
            result = when_free(lambda: train_trial(experiment, name, path, pruning, **options), should_stop)
            pruning.report()
        for key in ("parameters", "train_seconds"):
            taken.trial.set_user_attr(key, result[key])
        kept = study.complete(taken, result["validation_accuracy"])
        said = f"{result['validation_accuracy']:.2%} of validation samples"
    except TrialPruned as pruned:
        kept, said = study.prune(taken), f"pruned after {pruned}"
    except UpdateFinishedTrialError:
        kept = False
    except (Interrupted, DataError, RunError, BackendError):  # of no single trial
        study.stop(taken)
        raise
    except QlamError as error:
        kept, said = study.fail(taken, str(error)), f"failed: {error}"
    return said if kept else "another process has taken it up, having heard nothing of this one for long"


def _check_own(path: Path, experiment: Experiment) -> None:
    """Raise RunError when a trial's run folder holds something else."""
    if (path / "experiment.yaml").exists() and RunFolder(path).experiment() != experiment:
        raise RunError(f"{path}: of another study of this name; remove {path.parent}, or give --name")


def _said(point: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.removeprefix('training.').removeprefix('model.')} {value:.4g}"
        if isinstance(value, float)
        else f"{name.removeprefix('training.').removeprefix('model.')} {value}"
        for name, value in point.items()
    )


class _Pruning:
    """Passes a training's progress on, tells the study of every epoch, and ends a training that the pruner gives up.

    Epochs that were trained before an interruption are told too.
    """

    def __init__(self, reporter: Reporter, trial: Trial, folder: RunFolder) -> None:
        self._reporter, self._trial, self._folder = reporter, trial, folder
        self._told: set[int] = set()
        self.compiling, self.step = reporter.compiling, reporter.step

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Tell of an epoch; raises TrialPruned when the training is to end here."""
        self._reporter.epoch(metrics)
        self.report()
        if self._trial.should_prune():
            raise TrialPruned(f"epoch {metrics['epoch']} with {metrics['validation_accuracy']:.2%}")

    def report(self) -> None:
        """Tell of all epochs that were not told yet."""
        for row in self._folder.metrics():
            if row["epoch"] not in self._told:
                self._trial.report(row["validation_accuracy"], row["epoch"])
                self._told.add(row["epoch"])
