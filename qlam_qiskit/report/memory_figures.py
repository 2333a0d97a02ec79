"""The figures that look inside: the memory over time, and which tokens the answers depend on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qlam_qiskit.report.figures import bare, draw_image, draw_strip
from qlam_qiskit.report.findings import MOST_REGISTERS, Attention, Sample
from qlam_qiskit.report.memory import MemoryTrace
from qlam_qiskit.report.open_memory import OpenTrace
from qlam_qiskit.report.style import INK, MUTED, OUTLINE, SERIES, WIDTH, drawing

MOST_PANELS = 16  # drawn over an image, evenly chosen where there are more


def draw_memory(sample: Sample, traces: Sequence[MemoryTrace], readout_steps: Sequence[int] = ()) -> Figure:
    """Draw the registers while they read a sample: tokens, entropy of each qubit, overlap, and purity where known."""
    registers, traces = len(traces), traces[:MOST_REGISTERS]
    purities = [(name, trace) for trace in traces for name in trace.purities]
    tokens = 0.35 if sample.shown.image is None or len(sample.shown.strip) == 1 else 0.55
    heights = [tokens, *(0.13 * traces[0].entropies.shape[1] + 0.35 for _ in traces), 1.1, *([1.1] if purities else [])]
    with drawing():
        figure = Figure(
            (WIDTH, sum(heights) + 0.28 * len(heights) + 0.2 + 0.2 * (len(traces) > 2)), layout="constrained"
        )
        axes = figure.subplots(len(heights), sharex=True, height_ratios=heights)
        draw_strip(axes[0], sample.shown)
        axes[0].set_title("tokens")
        for axis, trace in zip(axes[1:], traces, strict=False):
            _draw_entropies(axis, trace)
        overlap = axes[1 + len(traces)]
        left_out = f" (of {registers} registers the first {len(traces)})" if registers > len(traces) else ""
        overlap.set_title(f"overlap with the last state{left_out}")
        for colour, trace in zip(SERIES, traces, strict=False):
            overlap.plot(in_order_of_tokens(trace.overlaps, trace.backwards), color=colour, label=trace.name or None)
        mark_readings(overlap, readout_steps)
        overlap.set_ylim(0, 1.02)
        if len(traces) > 1:
            # Below everything: within the axes it would hide what it names.
            figure.legend(*overlap.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        if purities:
            _draw_purities(axes[-1], traces)
        axes[-1].set_xlabel(steps_label(traces))
        axes[-1].set_xlim(0, sample.shown.steps + 0.5)
        return figure


def draw_attention(sample: Sample, attention: Attention) -> Figure:
    """Draw a sample and, over its tokens, how much the answer and each query's readouts depend on each token."""
    each = len(sample.answer) == len(attention.logits) and sample.confidence is not None
    of_answers = _named(attention.logits, "logit of", sample.answer) if each else [("answer", attention.logits[0])]
    rows = [*of_answers, *_of_queries(attention)]
    with drawing():
        return _over_images(sample, rows) if sample.shown.image is not None else _over_strip(sample, rows)


def draw_readouts(sample: Sample, attention: Attention) -> Figure:
    """Draw how much each reading depends on each token, all registers and queries together."""
    sizes = np.linalg.norm(attention.readouts, axis=(1, 2))
    rows = [(f"after {step:,}", row) for step, row in zip(attention.readout_steps, sizes, strict=True)]
    with drawing():
        return _over_images(sample, rows, first=False) if sample.shown.image is not None else _over_strip(sample, rows)


def draw_rows(
    axis: Axes, rows: Mapping[str, np.ndarray], title: str, *, first: float, most: float | None = None
) -> None:
    """Draw a named row of numbers over time, the first cell of each beginning at ``first``, from 0 to ``most``."""
    values = np.array(list(rows.values()))
    digits = "%.1f" if most else "%.2g"
    most = most or max(float(values.max()), 1e-9)
    extent = (first, first + values.shape[1], len(values) - 0.5, -0.5)
    shown = axis.imshow(values, cmap="viridis", vmin=0, vmax=most, aspect="auto", interpolation="none", extent=extent)
    axis.set_yticks(range(len(values)), list(rows), fontsize=7)
    axis.grid(visible=False)
    axis.tick_params(length=0)
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.set_title(title)
    aspect = 12 * (0.13 * len(values) + 0.35) / 0.74  # as wide beside many rows as beside three
    bar = axis.figure.colorbar(shown, ax=axis, ticks=[0, most / 2, most], format=digits, pad=0.02, aspect=aspect)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7)


def in_order_of_tokens(values: np.ndarray, backwards: bool) -> np.ndarray:
    """Turn what a register does step by step around if it reads the tokens from the last one on."""
    return values[::-1] if backwards else values


def mark_readings(axis: Axes, readout_steps: Sequence[int]) -> None:
    """Mark the steps, but for the last, after which the memory is read."""
    for step in readout_steps[:-1]:
        axis.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)


def steps_label(traces: Sequence[MemoryTrace | OpenTrace]) -> str:
    """Say what runs from left to right."""
    turned = any(trace.backwards for trace in traces)
    return "steps taken" + ("; backwards: from right to left" if turned else "")


def _draw_entropies(axis: Axes, trace: MemoryTrace) -> None:
    rows = {f"q{k}": in_order_of_tokens(values, trace.backwards) for k, values in enumerate(trace.entropies.T)}
    title = f"entanglement of each qubit (bits){f', {trace.name}' if trace.name else ''}"
    draw_rows(axis, rows, title, first=-0.5, most=1.0)


def _draw_purities(axis: Axes, traces: Sequence[MemoryTrace]) -> None:
    dimension = 1 << traces[0].entropies.shape[1]
    axis.set_title("purity under noise")
    for style, trace in zip(("-", "--", "-.", ":"), traces, strict=False):
        for colour, (name, purity) in zip(SERIES[1:], trace.purities.items(), strict=False):
            values, label = in_order_of_tokens(purity, trace.backwards), ", ".join(filter(None, (name, trace.name)))
            axis.plot(values, color=colour, linestyle=style, label=label)
    axis.axhline(1 / dimension, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
    axis.set_ylim(0, 1.02)
    axis.legend()


def _named(values: np.ndarray, title: str, names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    return [(f"{title} {name}", row) for name, row in zip(names, values, strict=True)]


def _of_queries(attention: Attention) -> list[tuple[str, np.ndarray]]:
    """Return the readouts of each register and query, all readings together."""
    if attention.readouts is None:
        return []
    sizes = np.linalg.norm(attention.readouts, axis=0)
    registers, queries, _ = sizes.shape
    rows = []
    for register in range(registers):
        for query in range(queries):
            parts = [f"register {register + 1}"] * (registers > 1) + [f"query {query + 1}"] * (queries > 1)
            rows.append((", ".join(parts) or "the query", sizes[register, query]))
    return rows


def _over_images(sample: Sample, rows: Sequence[tuple[str, np.ndarray]], first: bool = True) -> Figure:
    if len(rows) > MOST_PANELS:
        rows = [rows[round(place)] for place in np.linspace(0, len(rows) - 1, MOST_PANELS)]
    panels = len(rows) + first
    columns = 3 if panels <= 3 or panels in (5, 6, 9) else 4
    down = math.ceil(panels / columns)
    figure = Figure((WIDTH, (WIDTH / columns + 0.3) * down), layout="constrained")
    axes = list(figure.subplots(down, columns, squeeze=False).ravel())
    if first:
        draw_image(axes[0], sample.shown)
        axes[0].set_title("the image", fontsize=8)
    for axis, (title, row) in zip(axes[first:], rows, strict=False):
        axis.imshow(sample.shown.over_image(row), cmap="magma", vmin=0, interpolation="none")
        if sample.shown.has_outline:
            image = sample.shown.image
            axis.contour(image, [(image.min() + image.max()) / 2], colors=[OUTLINE], linewidths=0.7)
        axis.set_title(title.replace(", ", "\n"), fontsize=8)
        axis.set_xlabel(f"up to {row.max():.2g}", fontsize=7)
        bare(axis)
    for axis in axes[panels:]:
        axis.set_visible(False)
    return figure


def _over_strip(sample: Sample, rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    figure = Figure((WIDTH, 0.75 + 0.22 * len(rows)), layout="constrained")
    strip, axis = figure.subplots(2, sharex=True, height_ratios=[0.35, 0.22 * len(rows)])
    draw_strip(strip, sample.shown)
    scaled = np.array([row / (row.max() or 1.0) for _, row in rows])
    extent = (0.5, sample.shown.steps + 0.5, len(rows) - 0.5, -0.5)
    axis.imshow(scaled, cmap="magma", vmin=0, vmax=1, aspect="auto", interpolation="none", extent=extent)
    bare(axis)
    axis.tick_params(labelleft=True)
    axis.set_yticks(range(len(rows)), [name for name, _ in rows], color=INK)
    return figure
