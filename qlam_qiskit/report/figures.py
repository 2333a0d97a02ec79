"""The figures on training, answers and backends, each drawn from plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from qiskit import QuantumCircuit

from qlam_qiskit.report.findings import Sample
from qlam_qiskit.report.history import Evaluation, TrainingCurves
from qlam_qiskit.report.style import INK, MUTED, PAPER, SERIES, WIDTH, drawing
from qlam_qiskit.report.tokens import Shown

_MOST_CELLS = 30  # classes whose confusions are written as numbers
_SHORT_LINE = 16  # characters that fit over an image, four of them in a row


def draw_training(curves: TrainingCurves) -> Figure:
    """Draw loss and accuracy by epoch, in training and on what was held out."""
    with drawing():
        figure = Figure((WIDTH, 3.9), layout="constrained")
        axes = figure.subplots(2, sharex=True)
        panels = (
            ("loss (nats)", curves.train_loss, curves.validation_loss),
            ("accuracy", curves.train_accuracy, curves.validation_accuracy),
        )
        for axis, (title, train, validation) in zip(axes, panels, strict=True):
            marker = {"marker": "o", "markersize": 3} if len(curves.epochs) < 40 else {}
            axis.plot(curves.epochs, train, color=SERIES[0], label="training", **marker)
            if validation is not None:
                axis.plot(curves.epochs, validation, color=SERIES[1], label="validation", **marker)
            if curves.best_epoch is not None:
                axis.axvline(curves.best_epoch, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
            axis.set_title(title)
        axes[0].set_ylim(bottom=0)
        axes[1].yaxis.set_major_formatter(_percent)
        axes[1].set_xlabel("epoch")
        axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        if curves.validation_loss is not None:
            axes[0].legend(loc="upper center")
        return figure


def draw_confusion(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw how often each true class (row) was taken for each class (column).

    The diagonal is shaded by the part of the class that is right, the mistakes by their number.
    """
    classes = len(counts)
    totals = np.maximum(counts.sum(axis=1), 1)
    worst = max(int((counts - np.diag(np.diag(counts))).max()), 1)
    with drawing():
        figure = Figure((WIDTH, WIDTH), layout="constrained")
        axis = figure.subplots()
        for true, predicted in np.argwhere(counts > 0):
            count, is_right = counts[true, predicted], true == predicted
            strength = count / totals[true] if is_right else 0.12 + 0.88 * count / worst
            axis.add_patch(
                Rectangle(
                    (predicted - 0.47, true - 0.47), 0.94, 0.94, facecolor=SERIES[0 if is_right else 1], alpha=strength
                )
            )
            if classes <= _MOST_CELLS:
                size = 8 if classes <= 12 else 5
                colour = PAPER if strength > 0.55 else INK
                axis.text(predicted, true, f"{count}", ha="center", va="center", color=colour, fontsize=size)
        axis.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
        axis.grid(visible=False)
        axis.tick_params(length=0)
        for side in axis.spines.values():
            side.set_visible(False)
        if classes <= _MOST_CELLS:
            long = max(map(len, class_names)) > 3
            turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if long else {}
            axis.set_xticks(range(classes), class_names, **turned)
            axis.set_yticks(range(classes), class_names)
        axis.set_xlabel("predicted")
        axis.set_title("true", fontsize=8, color=MUTED)
        return figure


def draw_mistakes(samples: Sequence[Sample]) -> Figure:
    """Draw wrongly answered samples, with the truth, the answer, and how sure the model was."""
    with drawing():
        if samples[0].shown.image is None:
            return _draw_strips(samples)
        titles = [f"{one.truth[0]}\nas {one.answer[0]}, {one.confidence:.0%}" for one in samples]
        columns = 4 if max(len(line) for title in titles for line in title.split("\n")) <= _SHORT_LINE else 3
        rows = math.ceil(len(samples) / columns)
        figure = Figure((WIDTH, (WIDTH / columns + 0.36) * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, sample, title in zip(axes, samples, titles, strict=False):
            draw_image(axis, sample.shown)
            axis.set_title(title, fontsize=7.5)
        for axis in axes[len(samples) :]:
            axis.set_visible(False)
        return figure


def draw_evaluations(evaluations: Sequence[Evaluation]) -> Figure:
    """Draw the accuracy on every backend with its 95 % Wilson interval."""
    with drawing():
        figure = Figure((WIDTH, 0.75 + 0.42 * len(evaluations)), layout="constrained")
        axis = figure.subplots()
        for row, found in enumerate(evaluations):
            low, high = found.accuracy.interval
            colour = SERIES[0] if found.shots is None else SERIES[1]
            axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt", alpha=0.5)
            axis.plot(found.accuracy.value, row, "o", color=colour, markersize=5)
        labels = [f"{found.name}\n{describe_evaluation(found)}" for found in evaluations]
        axis.set_yticks(range(len(evaluations)), labels, color=INK)
        axis.set_ylim(len(evaluations) - 0.5, -0.5)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(_percent)
        axis.grid(visible=True, axis="x")
        axis.grid(visible=False, axis="y")
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("test accuracy")
        return figure


def _percent(value: float, position: int | None = None) -> str:
    return f"{100 * value:.4g} %"


def describe_evaluation(found: Evaluation) -> str:
    """Say how much was measured."""
    shots = "exact values" if found.shots is None else f"{found.shots:,} shots"
    return f"{shots}, {found.accuracy.samples:,} samples"


def drawn(circuit: QuantumCircuit, **options: Any) -> Figure:
    """Draw a circuit with Qiskit's drawer, whose formulas are left as they are where a name in them is none."""
    with mpl.rc_context({"text.parse_math": True}):
        figure = circuit.draw("mpl", **options)
        try:
            figure.draw_without_rendering()
        except ValueError:
            mpl.rcParams["text.parse_math"] = False
            figure = circuit.draw("mpl", **options)
    return figure


def draw_circuit(circuit: QuantumCircuit) -> Figure:
    """Draw one update of the memory with Qiskit's drawer."""
    from matplotlib import pyplot as plt

    with drawing():
        figure = drawn(circuit, style="bw", fold=-1)
        plt.close(figure)
        (axis,) = figure.axes
        place = axis.get_position()
        axis.set_position((0, 0, 1, 1))  # cut the drawer's wide margins off
        width, height = figure.get_size_inches()
        figure.set_size_inches(place.width * width, place.height * height)
        return figure


def draw_image(axis: Axes, shown: Shown) -> None:
    """Draw a sample's image without axes."""
    axis.imshow(shown.image, cmap="gray", vmin=0, vmax=1, interpolation="none")
    bare(axis)


def draw_strip(axis: Axes, shown: Shown, first: float = 0.5) -> None:
    """Draw tokens along the steps of a sequence; the first token's cell begins at ``first``."""
    if shown.symbols is not None and shown.steps <= 40:
        for step, symbol in enumerate(shown.symbols):
            axis.text(first + step + 0.5, 0.5, symbol, ha="center", va="center", fontsize=8)
        axis.set_ylim(0, 1)
    else:
        extent = (first, first + shown.steps, len(shown.strip), 0)
        axis.imshow(shown.strip, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="none", extent=extent)
    axis.set_xlim(first, first + shown.steps)
    bare(axis)


def bare(axis: Axes) -> None:
    """Take away ticks, grid and frame."""
    axis.tick_params(which="both", length=0, labelleft=False, labelbottom=False)
    axis.grid(visible=False)
    for side in axis.spines.values():
        side.set_visible(False)


def _draw_strips(samples: Sequence[Sample]) -> Figure:
    figure = Figure((WIDTH, 0.62 * len(samples)), layout="constrained")
    for axis, sample in zip(figure.subplots(len(samples), squeeze=False).ravel(), samples, strict=True):
        draw_strip(axis, sample.shown)
        axis.set_title(f"{' '.join(sample.truth)}, answered {' '.join(sample.answer)}, {sample.confidence:.0%}")
    return figure
