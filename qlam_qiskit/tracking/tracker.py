"""What a tracker is, and the ones that are known by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.extras import require
from qlam_qiskit.redaction import one_line
from qlam_qiskit.suggestions import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run when it begins or goes on.

    Attributes
    ----------
    path
        The run's folder.
    name
        What it is called.
    settings
        Its experiment, one dotted key for each setting.
    known_as
        What this tracker returned when the run began; None for a new run.
    """

    path: Path
    name: str
    settings: Mapping[str, Any]
    known_as: str | None


class Tracker(Protocol):
    """Hears of one run; a class of one's own may be given to :func:`qlam_qiskit.train` in place of a name."""

    def begin(self, run: TrackedRun) -> str | None:
        """Begin a run, or go on with one; returns what the tracker knows it as, which is kept in the run's folder."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hear of numbers after so many steps of training."""

    def finish(self, figures: Callable[[], Mapping[str, Figure]], files: Sequence[Path]) -> None:
        """Hear that the run is done: its figures by name, drawn when they are asked for, and its files."""

    def close(self, status: str) -> None:
        """Hear that this process is done with the run: "finished", "interrupted" or "failed"."""


@dataclass(frozen=True)
class _Known:
    module: str
    name: str
    library: str


_KNOWN = {
    "tensorboard": _Known("tensorboard_tracker", "TensorBoardTracker", "tensorboard"),
    "mlflow": _Known("mlflow_tracker", "MLflowTracker", "mlflow"),
    "wandb": _Known("wandb_tracker", "WandbTracker", "wandb"),
}
TRACKERS = tuple(_KNOWN)
"""Trackers that go by a name."""


def check_trackers(given: Iterable[str | Tracker]) -> dict[str, Tracker]:
    """Make trackers of names, each once.

    Parameters
    ----------
    given
        Names, of :data:`TRACKERS`, or trackers of one's own.

    Returns
    -------
    dict
        The trackers under their names; one's own under the name of its class.

    Raises
    ------
    ConfigurationError
        For an unknown name, or where a tracker's library is not installed.
    """
    return {each if isinstance(each, str) else type(each).__name__: _made(each) for each in given}


def _made(given: str | Tracker) -> Tracker:
    if not isinstance(given, str):
        return given
    if given not in _KNOWN:
        near = did_you_mean(given, TRACKERS)
        raise ConfigurationError(f"unknown tracker {given!r}; available: {', '.join(TRACKERS)}{near}")
    known = _KNOWN[given]
    require(known.library, given, f"tracking with {given}")
    tracker = getattr(import_module(f"qlam_qiskit.tracking.{known.module}"), known.name)
    try:
        return tracker()
    except Exception as error:  # of a library of others: an address that it does not take, a part of it that is missing
        raise ConfigurationError(f"{given} cannot track: {one_line(f'{type(error).__name__}: {error}')}") from error
