"""How training and evaluation look in a terminal: a bar with loss, accuracy and time left, on stderr."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def console_of_bars(**options: Any) -> Console:
    """Make rich's console on stderr for a bar, which is redrawn in place; ``options`` are Console's.

    While a bar is shown, rich puts a stream of its own in stderr's place and would write to the one behind it, where
    the command line lets no control sequence pass. A console that is given its file keeps that.
    """
    return Console(file=getattr(sys.stderr, "rich_proxied_file", sys.stderr), **options)


class TrainingBar:
    """Reports training, unless ``quiet``: a bar while it runs, a line for each epoch that has finished.

    Before it, where the exact engine's loops are not compiled yet, a line that says so, and a bar of their own.
    """

    def __init__(self, epochs: int, *, quiet: bool = False) -> None:
        self._console = console_of_bars(soft_wrap=True, highlight=False, markup=False, quiet=quiet)
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TextColumn("{task.fields[left]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, figures="", left="")
        self._said = False

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def compiling(self, done: int, total: int, seconds: int) -> None:
        """Say that the engine's loops are compiled, and move their bar."""
        if not self._said:
            self._console.print(f"compiling the exact engine for this machine: once, about {seconds} s")
            self._said = True
        figures = f"{done} of {total} loops done"
        self._progress.update(
            self._task, completed=done, total=total, description="compiling", figures=figures, left="left"
        )

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float | None) -> None:
        """Move the bar."""
        if self._said:  # the time left is that of steps, not of loops
            self._progress.reset(self._task)
            self._said = False
        label, figures = f"epoch {epoch}/{self._epochs}", f"loss {loss:.4f}"
        figures += "" if accuracy is None else f"  accuracy {accuracy:.2%}"
        self._progress.update(self._task, completed=done, total=total, description=label, figures=figures, left="left")

    def say(self, line: str) -> None:
        """Print a line beside the bar."""
        self._console.print(line, markup=False)

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Print an epoch's line."""
        self._console.print(_epoch_line(metrics, self._epochs))


class EpochLines:
    """Reports training as lines: one for each epoch that has finished, with the training's name before it.

    Parameters
    ----------
    name
        What is trained.
    epochs
        Of the whole training.
    say
        Hears the lines.
    """

    def __init__(self, name: str, epochs: int, say: Callable[[str], None]) -> None:
        self._name, self._epochs, self._say = name, epochs, say

    def compiling(self, done: int, total: int, seconds: int) -> None:
        """Say once that the engine's loops are compiled."""
        if not done:
            self._say(f"{self._name}: compiling the exact engine for this machine: once, about {seconds} s")

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float | None) -> None:
        """Hear of a step."""

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Say an epoch's line."""
        self._say(f"{self._name}: {_epoch_line(metrics, self._epochs)}")


def _epoch_line(metrics: dict[str, Any], epochs: int) -> str:
    line = f"epoch {metrics['epoch']:>3}/{epochs}  loss {metrics['train_loss']:.4f}"
    for part, name in (("train", ""), ("validation", "validation ")):
        if f"{part}_accuracy" in metrics:
            line += f"  {name or 'accuracy '}{metrics[f'{part}_accuracy']:.2%}"
        elif f"{part}_nrmse" in metrics:
            line += f"  {name}NRMSE {metrics[f'{part}_nrmse']:.4f}"
    if "validation_noise" in metrics:
        line += f" ({metrics['validation_noise']})"
    return f"{line}  {metrics['seconds']:.1f} s"


class SampleBar:
    """Shows how many samples, or jobs of a device, are done, and lines beside it; a context manager."""

    def __init__(self, label: str) -> None:
        self._console = console_of_bars(soft_wrap=True, highlight=False)
        columns = (
            TextColumn(label, markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal, transient=True)
        self._task = self._bar.add_task(label, total=None)

    def __enter__(self) -> SampleBar:
        return self  # the bar starts with the first progress: a question may have to be asked before

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def progress(self, done: int, total: int) -> None:
        """Move the bar, which is not shown before there is a total."""
        self._bar.update(self._task, completed=done, total=total)
        self._bar.start()

    def say(self, line: str) -> None:
        """Print a line of its own above the bar."""
        self._console.print(line, markup=False)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a request to stop at the next step; a second one stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
