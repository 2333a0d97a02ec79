"""The figures on training, answers and backends, each drawn from plain numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from qiskit import QuantumCircuit

from qlam_qiskit.circuit_drawing import draw_with_matplotlib
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.report.findings import Sample
from qlam_qiskit.report.history import Evaluation, TrainingCurves
from qlam_qiskit.report.style import INK, MUTED, PAPER, SERIES, WIDTH, drawing
from qlam_qiskit.report.tokens import Shown

_MOST_CELLS = 30  # classes whose confusions are written as numbers
_STRONGEST = 0.58  # shade of a cell on which its number can still be read: 4.5 to 1, in the light and the dark
_MOST_FITS = 3  # panels of predicted numbers
_MOST_POINTS = 5000
_COURSE = 1.5  # inches of height
_SHORT_LINE = 16  # characters that fit over an image, four of them in a row


def draw_training(curves: TrainingCurves) -> Figure:
    """Draw loss and accuracy, or NRMSE, by epoch, in training and on what was held out."""
    with drawing():
        figure = Figure((WIDTH, 3.9), layout="constrained")
        axes = figure.subplots(2, sharex=True)
        is_accuracy = curves.figure == "accuracy"
        panels = (
            ("loss (nats)" if is_accuracy else "loss", curves.train_loss, curves.validation_loss),
            ("accuracy" if is_accuracy else "NRMSE", curves.train_figure, curves.validation_figure),
        )
        for axis, (title, train, validation) in zip(axes, panels, strict=True):
            marker = {"marker": "o", "markersize": 3} if len(curves.epochs) < 40 else {}
            axis.plot(curves.epochs, train, color=SERIES[0], label="training", **marker)
            if validation is not None:
                axis.plot(curves.epochs, validation, color=SERIES[1], label="validation", **marker)
            if len(curves.epochs) == 1:  # an axis of its own would be a thousandth of an epoch wide
                axis.set_xlim(curves.epochs[0] - 1, curves.epochs[0] + 1)
            if curves.best_epoch is not None:
                axis.axvline(curves.best_epoch, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
            axis.set_title(title)
        axes[0].set_ylim(bottom=0)
        if is_accuracy:
            axes[1].yaxis.set_major_formatter(_percent)
        axes[1].set_xlabel("epoch")
        axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        if curves.validation_loss is not None:
            # Beside the title: within the axes it may lie on the curves.
            axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
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
                    (predicted - 0.47, true - 0.47),
                    0.94,
                    0.94,
                    facecolor=SERIES[0 if is_right else 1],
                    alpha=_STRONGEST * strength,
                )
            )
            if classes <= _MOST_CELLS:
                size = 8 if classes <= 12 else 5
                axis.text(predicted, true, f"{count}", ha="center", va="center", color=INK, fontsize=size)
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


def draw_fit(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str], courses: Sequence[int] = ()) -> Figure:
    """Draw predicted numbers against true ones, (N, M, C): a panel for each of the first C.

    Below stand the answers to the samples ``courses``, step by step, of the first of the C numbers.
    """
    count = min(labels.shape[-1], _MOST_FITS)
    with drawing():
        height = WIDTH / max(count, 1.6)
        figure = Figure((WIDTH, height + _COURSE * len(courses)), layout="constrained")
        grid = figure.add_gridspec(1 + len(courses), count, height_ratios=[height, *[_COURSE] * len(courses)])
        for k in range(count):
            axis = figure.add_subplot(grid[0, k])
            true, found = labels[..., k].ravel(), predicted[..., k].ravel()
            given = np.flatnonzero(~np.isnan(true))[:_MOST_POINTS]
            ends = [float(np.min([true[given], found[given]])), float(np.max([true[given], found[given]]))]
            axis.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
            axis.plot(
                true[given], found[given], "o", color=SERIES[0], markersize=3, alpha=0.6, rasterized=len(given) > 2000
            )
            axis.set_title(names[k])
            axis.set_xlabel("true")
            axis.set_ylabel("predicted")
        for row, sample in enumerate(courses, 1):
            axis = figure.add_subplot(grid[row, :])
            axis.set_title(f"{names[0]}, test sample {sample}")
            _draw_course(axis, labels[sample, :, 0], predicted[sample, :, 0])
        return figure


def _draw_course(axis: Axes, true: np.ndarray, found: np.ndarray) -> None:
    """Draw true and predicted numbers (M,) step by step, from the first to be told on."""
    steps = np.arange(1, len(true) + 1)
    found = np.where(np.isnan(true), np.nan, found)
    axis.plot(steps, true, color=MUTED, linewidth=1.6, label="true")
    axis.plot(steps, found, color=SERIES[0], linewidth=0.9, label="predicted")
    axis.set_xlabel("step")
    axis.legend(loc="upper right", ncols=2)


def draw_mistakes(samples: Sequence[Sample]) -> Figure:
    """Draw wrongly answered samples, with the truth, the answer, and how sure the model was."""
    with drawing():
        if samples[0].shown.image is None:
            return _draw_strips(samples)
        titles = [f"{one.truth[0]}\nas {one.answer[0]}{one.sureness}" for one in samples]
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
    """Draw the accuracy on every backend with its 95 % Wilson interval, and that of the exact engine beside shots.

    Of numbers it is their NRMSE, without interval.
    """
    with drawing():
        figure = Figure((WIDTH, 0.75 + 0.42 * len(evaluations)), layout="constrained")
        axis = figure.subplots()
        for row, found in enumerate(evaluations):
            low, high = found.accuracy.interval
            colour = SERIES[0] if found.shots is None else SERIES[1]
            axis.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt", alpha=0.5)
            axis.plot(found.accuracy.value, row, "o", color=colour, markersize=5)
            if found.shots is not None and found.exact is not None:
                axis.plot(found.exact, row, "|", color=SERIES[0], markersize=10, markeredgewidth=1.5)
        labels = [f"{found.name}\n{describe_evaluation(found)}" for found in evaluations]
        axis.set_yticks(range(len(evaluations)), labels, color=INK)
        axis.set_ylim(len(evaluations) - 0.5, -0.5)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        if not evaluations[0].is_error:
            axis.xaxis.set_major_formatter(_percent)
        axis.grid(visible=True, axis="x")
        axis.grid(visible=False, axis="y")
        axis.spines["left"].set_visible(False)
        axis.set_xlabel("test NRMSE" if evaluations[0].is_error else "test accuracy")
        return figure


def _percent(value: float, position: int | None = None) -> str:
    return f"{100 * value:.4g} %"


def describe_evaluation(found: Evaluation) -> str:
    """Say how much was measured."""
    shots = "exact values" if found.shots is None else f"{found.shots:,} shots"
    return f"{shots}, {found.accuracy.samples:,} samples"


def draw_circuit(memory: MemoryCircuit, steps: int = 1) -> Figure:
    """Draw updates of the memory with Qiskit's drawer: angles from tokens blue, trained ones orange, steps divided."""
    with drawing():
        figure = draw_with_matplotlib(_divided(memory, steps), style="bw", fold=-1)
        (axis,) = figure.axes
        inputs = memory.inputs if steps == 1 else memory.sequence_inputs(steps)
        for colour, parameters in zip(SERIES, (inputs, memory.weights), strict=False):
            _outline(axis, {parameter.name for parameter in parameters}, colour)
        place = axis.get_position()
        axis.set_position((0, 0, 1, 1))  # cut the drawer's wide margins off
        width, height = figure.get_size_inches()
        figure.set_size_inches(place.width * width, place.height * height)
        return figure


def _divided(memory: MemoryCircuit, steps: int) -> QuantumCircuit:
    """Write out updates with a barrier at the beginning of each and at the end of the last."""
    whole = memory.update if steps == 1 else memory.unroll(steps, query=False)
    size = len(whole.data) // steps
    circuit = whole.copy_empty_like()
    for step in range(steps):
        circuit.barrier(label=f"step {step + 1}" if steps > 1 else "one step")
        for instruction in whole.data[step * size : (step + 1) * size]:
            circuit.append(instruction)
    circuit.barrier(label="next")
    return circuit


def _outline(axis: Axes, names: set[str], colour: str) -> None:
    """Outline gates whose angle names one of these parameters: their boxes, or their text where they have none."""
    word = re.compile(rf"(?<![\w\]])(?:{'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})(?![\w\[])")
    boxes = [patch for patch in axis.patches if isinstance(patch, Rectangle)]
    for text in axis.texts:
        if not names or not word.search(text.get_text()):
            continue
        x, y = text.get_position()
        inside = [
            box for box in boxes if 0 <= x - box.get_x() <= box.get_width() and 0 <= y - box.get_y() <= box.get_height()
        ]
        for box in inside[-1:]:
            box.set(edgecolor=colour, linewidth=2.2)
        if not inside:
            text.set_bbox({"facecolor": PAPER, "edgecolor": colour, "linewidth": 1.2, "pad": 1.5})


def draw_image(axis: Axes, shown: Shown) -> None:
    """Draw a sample's image without axes."""
    axis.imshow(shown.image, cmap="gray", vmin=0, vmax=1, interpolation="none")
    bare(axis)


def draw_strip(axis: Axes, shown: Shown, first: float = 0.5) -> None:
    """Draw tokens along the steps of a sequence; the first token's cell begins at ``first``.

    Tokens of several pixels, as rows of an image, stand apart: side by side they would look like a stretched image.
    The image itself is drawn beside them.
    """
    if shown.symbols is not None and shown.steps <= 40:
        for step, symbol in enumerate(shown.symbols):
            axis.text(first + step + 0.5, 0.5, symbol, ha="center", va="center", fontsize=8)
        axis.set_ylim(0, 1)
    else:
        apart = shown.image is not None and len(shown.strip) > 1
        strip = _apart(shown.strip) if apart else shown.strip
        extent = (first, first + shown.steps, len(strip), 0)
        axis.imshow(strip, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="none", extent=extent)
        if apart:
            beside = axis.inset_axes((1.015, 0, 0.12, 1))
            draw_image(beside, shown)
            beside.set_anchor("W")
    axis.set_xlim(first, first + shown.steps)
    bare(axis)


def _apart(strip: np.ndarray) -> np.ndarray:
    """Put an empty column, a sixth of a token wide, behind every token."""
    columns = np.full((*strip.shape, 6), np.nan)
    columns[..., :5] = strip[..., None]
    return columns.reshape(len(strip), -1)


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
        axis.set_title(f"{' '.join(sample.truth)}, answered {' '.join(sample.answer)}{sample.sureness}")
    return figure
