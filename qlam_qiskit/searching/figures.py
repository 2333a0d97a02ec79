"""Optuna's own plots of a study, in the style of this package's figures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots

from qlam_qiskit.report import GRID, INK, MUTED, SERIES, WIDTH, drawing
from qlam_qiskit.searching.study import Study

_ACCURACY = "validation accuracy"
_LABEL = 34  # characters of a key on an axis


@dataclass(frozen=True)
class Drawn:
    """A figure of a study, or why there is none."""

    name: str
    figure: Figure | None
    reason: str = ""


def draw_study(study: Study) -> Iterator[Drawn]:
    """Draw the history, the importance of each key, the trials along each key, and the training curves.

    Only trials that count are drawn.
    """
    shown = _shown(study)
    for name, draw in _FIGURES.items():
        try:
            with drawing(), _kept(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what Optuna calls experimental, and what it finds too little
                yield Drawn(name, draw(shown))
        except _LeftOut as reason:
            yield Drawn(name, None, str(reason))


class _LeftOut(Exception):
    """A figure that a study has too little for; says why."""


@contextmanager
def _kept() -> Iterator[None]:
    """Close the figures that Optuna opens through pyplot; whoever holds one can still write it."""
    before = set(plt.get_fignums())
    backend = plt.get_backend()
    plt.switch_backend("Agg")
    try:
        yield
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
        plt.switch_backend(backend)


def _shown(study: Study) -> optuna.Study:
    """Copy into memory the attempts that count, without the others, which Optuna would draw as failed trials."""
    copied = optuna.create_study(direction="maximize")
    for entry in study.entries():
        if entry.last.state.is_finished():
            copied.add_trial(entry.last)
    return copied


def _history(study: optuna.Study) -> Figure:
    _complete(study, 1)
    axes = plots.plot_optimization_history(study, target_name=_ACCURACY)
    for line in axes.lines:
        line.set(color=SERIES[0], linewidth=1.6)
    for dots in axes.collections:
        dots.set(color=MUTED, alpha=0.8, sizes=[14])
    return _styled(axes, "trial", _ACCURACY)


def _importance(study: optuna.Study) -> Figure:
    complete = _complete(study, 4)
    if len(complete[0].params) < 2:
        raise _LeftOut("only one key was searched")
    if len({trial.value for trial in complete}) < 2:
        raise _LeftOut("all complete trials are equally good")
    axes = plots.plot_param_importances(study, target_name=_ACCURACY)
    for bar in axes.patches:
        bar.set(facecolor=SERIES[0], edgecolor="none", height=0.6)
    names = [_short(label.get_text()) for label in axes.get_yticklabels()]
    axes.set_yticks(axes.get_yticks(), names)
    figure = _styled(axes, "share of the variance that the key explains", "", sized=True)
    axes.grid(visible=False)
    figure.set_size_inches(WIDTH, 0.7 + 0.32 * len(names))
    return figure


def _slices(study: optuna.Study) -> Figure:
    _complete(study, 2)
    found = plots.plot_slice(study, target_name=_ACCURACY)
    panels = list(found) if hasattr(found, "__len__") else [found]
    figure = panels[0].figure
    for bar in [axes for axes in figure.axes if axes not in panels]:  # the colours' scale
        bar.remove()
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure.suptitle("")
    figure.set_size_inches(WIDTH * columns, 2.2 * rows)
    grid = figure.add_gridspec(rows, columns)
    for place, axes in enumerate(panels):
        axes.set_subplotspec(grid[place // columns, place % columns])
        for dots in axes.collections:
            if isinstance(dots, PathCollection):
                dots.set_array(None)
                dots.set(facecolor=SERIES[0], edgecolor="none", alpha=0.75, sizes=[16])
        _styled(axes, _short(axes.get_xlabel()), _ACCURACY if place % columns == 0 else "", sized=True)
        if axes.get_xscale() == "log":
            axes.xaxis.set_major_formatter(lambda value, position: f"{value:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif words := [label.get_text().strip("'") for label in axes.get_xticklabels() if "'" in label.get_text()]:
            axes.set_xticks(axes.get_xticks(), words)
    return figure


def _curves(study: optuna.Study) -> Figure:
    if max((len(trial.intermediate_values) for trial in study.trials), default=0) < 2:
        raise _LeftOut("trials have one epoch")
    axes = plots.plot_intermediate_values(study)
    trials = [trial for trial in study.trials if trial.intermediate_values and trial.state is not TrialState.FAIL]
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = max(complete, key=lambda trial: trial.value, default=None)
    for line, trial in zip(axes.lines, trials, strict=True):
        colour = SERIES[0] if trial is best else SERIES[1] if trial.state is TrialState.PRUNED else MUTED
        marker = "." if len(trial.intermediate_values) == 1 else ""
        front = {"linewidth": 1.8, "alpha": 1.0, "zorder": 3} if trial is best else {"linewidth": 0.9, "alpha": 0.6}
        line.set(color=colour, marker=marker, **front)
    return _styled(axes, "epoch", _ACCURACY)


def _complete(study: optuna.Study, least: int) -> list[FrozenTrial]:
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    if len(complete) < least:
        raise _LeftOut(f"fewer than {least} trials are complete" if least > 1 else "no trial is complete")
    return complete


def _styled(axes: Axes, x: str, y: str, *, sized: bool = False) -> Figure:
    """Give the style of this package to axes that were drawn in another."""
    figure = axes.figure
    if not sized:
        figure.set_size_inches(WIDTH, 2.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.set_facecolor("none")
    figure.set_layout_engine("constrained")
    axes.set(facecolor="none", title="", axisbelow=True)
    axes.set_xlabel(x, color=MUTED, fontsize=8)
    axes.set_ylabel(y, color=MUTED, fontsize=8)
    axes.tick_params(colors=MUTED, labelsize=8, length=0, which="both")
    axes.grid(visible=False, axis="x", which="both")
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.6, linestyle="-")
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=GRID, linewidth=0.8)
    for text in axes.texts:
        text.set(color=INK, fontsize=8, verticalalignment="center")
    if (legend := axes.get_legend()) is not None:
        legend.remove()
    return figure


def _short(key: str) -> str:
    return key if len(key) <= _LABEL else f"...{key[-_LABEL + 3 :]}"


_FIGURES: dict[str, Callable[[optuna.Study], Figure]] = {
    "history": _history,
    "importance": _importance,
    "curves": _curves,
    "slices": _slices,
}
