"""How training and evaluation look in a terminal: a bar with loss, accuracy and time left, on stderr."""

from __future__ import annotations

import signal
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


class TrainingBar:
    """Reports training, unless ``quiet``: a bar while it runs, a line for each epoch that has finished."""

    def __init__(self, epochs: int, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=quiet)
        self._epochs = epochs
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:.2%}"),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, loss=float("nan"), accuracy=0.0)

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, done: int, total: int, epoch: int, loss: float, accuracy: float) -> None:
        """Move the bar."""
        label = f"epoch {epoch}/{self._epochs}"
        self._progress.update(self._task, completed=done, total=total, description=label, loss=loss, accuracy=accuracy)

    def epoch(self, metrics: dict[str, Any]) -> None:
        """Print an epoch's line."""
        line = (
            f"epoch {metrics['epoch']:>3}/{self._epochs}  loss {metrics['train_loss']:.4f}  "
            f"accuracy {metrics['train_accuracy']:.2%}"
        )
        if "validation_accuracy" in metrics:
            line += f"  validation {metrics['validation_accuracy']:.2%}"
        self._console.print(f"{line}  {metrics['seconds']:.1f} s")


@contextmanager
def sample_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many samples are done; yields a function of (done, total)."""
    console = Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"))
    bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True)
    task = bar.add_task(label, total=None)

    def move(done: int, total: int) -> None:
        bar.start()  # not before: a question may have to be asked first
        bar.update(task, completed=done, total=total)

    try:
        yield move
    finally:
        bar.stop()


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
