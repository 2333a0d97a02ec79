"""Tells trackers of a training: settings, every step, every epoch, the result, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qlam_qiskit.errors import ConfigurationError, Interrupted
from qlam_qiskit.extras import missing_extra
from qlam_qiskit.redaction import one_line
from qlam_qiskit.runs import RunFolder
from qlam_qiskit.tracking.tracker import TrackedRun, Tracker, check_trackers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qlam_qiskit.training import Reporter

_FIGURES = ("training", "circuit", "confusion", "fit", "rates")
_FILES = ("experiment.yaml", "run.json", "metrics.jsonl", "result.json", "circuits.qpy", "checkpoints/best.safetensors")


class Tracking:
    """The trackers of one training, as a context that closes them; without any it does nothing.

    A tracker that fails on the way is left out from then on: no training is lost because a server does not answer.

    Parameters
    ----------
    trackers
        Names ("tensorboard", "mlflow", "wandb"), or objects with the methods of a ``Tracker``.
    say
        Hears, in one line, of a tracker that fails.

    Raises
    ------
    ConfigurationError
        For an unknown name, or where a tracker's library is not installed.
    """

    def __init__(self, trackers: Iterable[str | Tracker] = (), say: Callable[[str], None] = lambda line: None) -> None:
        self._trackers, self._say = check_trackers(trackers), say
        self._step = 0
        self._begun: dict[str, Tracker] = {}
        self._status = "interrupted"

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._status = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
        self._tell(lambda tracker: tracker.close(self._status))

    def around(self, reporter: Reporter) -> Reporter:
        """Return a reporter that tells ``reporter``, and the trackers beside it."""
        return _Both(reporter, self) if self._trackers else reporter

    def begin(self, folder: RunFolder) -> None:
        """Begin a run, or go on with one that these trackers know; to be called when its folder is there."""
        if not self._trackers:
            return
        known = folder.tracked_as()
        settings = dict(_flat(folder.experiment().model_dump(mode="json", exclude_none=True)))
        for name, tracker in self._trackers.items():
            run = TrackedRun(folder.path, folder.path.name, settings, known.get(name))
            try:
                known[name] = tracker.begin(run)
            except Exception as error:  # of a library of others, or of its server
                raise ConfigurationError(f"{name} cannot track this run: {_line(error)}") from error
            self._begun[name] = tracker
        with folder.written():
            folder.write_json("tracking.json", known)

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Tell numbers after so many steps; by default after the steps that were told last."""
        self._step = self._step if step is None else step
        numbers = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
        self._tell(lambda tracker: tracker.log(self._step, numbers))

    def finish(self, folder: RunFolder, result: Mapping[str, Any], data_dir: Path | None = None) -> None:
        """Tell the result, and hand over figures and files."""
        if not self._begun:
            return
        self._status = "finished"
        self.log({key: value for key, value in result.items() if key.startswith("test_") or key == "train_seconds"})
        drawn: dict[str, Figure] = {}

        def figures() -> dict[str, Figure]:
            if not drawn:
                drawn.update(_drawn(folder.path, data_dir))
            return drawn

        files = [folder.path / name for name in _FILES if (folder.path / name).exists()]
        self._tell(lambda tracker: tracker.finish(figures, files))

    def _tell(self, say: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._begun.items()):
            try:
                say(tracker)
            except Exception as error:  # whatever a library of others raises
                del self._begun[name]
                self._say(f"{name} failed and hears no more of this run: {_line(error)}")


class _Both:
    """Tells a reporter and trackers."""

    def __init__(self, reporter: Reporter, tracking: Tracking) -> None:
        self._reporter, self._tracking = reporter, tracking

    def compiling(self, done: int, total: int, seconds: int) -> None:
        """Hear of the engine's loops."""
        self._reporter.compiling(done, total, seconds)

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float | None) -> None:
        """Hear of a step."""
        self._reporter.step(done, total, epoch, loss, accuracy)
        self._tracking.log({"step_loss": loss, "step_accuracy": accuracy}, done)

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Hear of an epoch."""
        self._reporter.epoch(metrics)
        self._tracking.log(metrics)


def _line(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")[:300]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _drawn(path: Path, data_dir: Path | None) -> dict[str, Figure]:
    """Draw those figures of a run that need no second look at its samples; none without the extra that draws."""
    from qlam_qiskit.runs import SavedRun

    try:
        from qlam_qiskit.report import Absent, Findings, pictures, usual

        findings = Findings.of(SavedRun.open(path, data_dir))
        found = list(pictures(findings, [name for name in usual(findings) if name in _FIGURES]))
    except ModuleNotFoundError as error:
        if missing_extra(error) is None:
            raise
        return {}
    return {each.title: each.figure for each in found if not isinstance(each, Absent)}
