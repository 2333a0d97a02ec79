"""The figures of memories that forget: rates of damping, what is forgotten when, and their states over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from qlam_qiskit.report.figures import draw_strip
from qlam_qiskit.report.findings import Sample
from qlam_qiskit.report.forgetting import Damping, Forgetting, half_life
from qlam_qiskit.report.memory_figures import draw_rows, in_order_of_tokens, mark_readings, steps_label
from qlam_qiskit.report.open_memory import OpenTrace
from qlam_qiskit.report.style import GRID, INK, MUTED, SERIES, WIDTH, drawing

_STYLES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))  # without errors, then by device


def draw_rates(dampings: Sequence[Damping], steps: int) -> Figure:
    """Draw gamma of every damped qubit and register as half-lives, beside the range in which they began."""
    lives = np.concatenate([one.half_lives for one in dampings])
    with drawing():
        figure = Figure((WIDTH, 1.15 + 0.3 * len(dampings)), layout="constrained")
        axis = figure.subplots()
        for row, one in enumerate(dampings):
            begins, ends = (float(half_life(gamma)) for gamma in (one.start.high, one.start.low))
            axis.plot([begins, ends], [row, row], color=GRID, linewidth=9, solid_capstyle="butt", zorder=0)
            for turned, colour in zip((False, True), SERIES, strict=False):
                chosen = one.half_lives[one.backwards == turned]
                axis.plot(chosen, np.full(len(chosen), row), "o", color=colour, markersize=5, alpha=0.75, mew=0)
        axis.axvline(steps, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        axis.set_xscale("log")
        low, high = min(lives.min(), steps), max(lives.max(), steps)
        axis.set_xlim(low / 1.6, high * 1.6)
        axis.xaxis.set_major_formatter(FuncFormatter(_plainly))
        axis.xaxis.set_minor_formatter("")
        axis.set_yticks(range(len(dampings)), [one.name for one in dampings], color=INK)
        axis.set_ylim(len(dampings) - 0.5, -0.5)
        axis.grid(visible=True, axis="x")
        axis.grid(visible=False, axis="y")
        axis.spines["left"].set_visible(False)
        axis.set_title("half-life of each damped qubit")
        axis.set_xlabel("steps")
        if dampings[0].backwards.any():
            dots = [Line2D([], [], color=colour, marker="o", linestyle="", markersize=5) for colour in SERIES[:2]]
            figure.legend(dots, ["reads forwards", "reads backwards"], loc="outside lower center", ncols=2)
        return figure


def draw_forgetting(found: Sequence[Forgetting]) -> Figure:
    """Draw how much of a changed token's effect is left in each register's state, by steps since it was read."""
    many = len(found) > len(SERIES)
    circuits = list(found[0].left)
    turned = [one.backwards for one in found]
    with drawing():
        figure = Figure((WIDTH, 2.7), layout="constrained")
        axis = figure.subplots()
        by_circuit = many and not any(turned)
        for number, one in enumerate(found):
            for index, (style, circuit) in enumerate(zip(_STYLES, circuits, strict=False)):
                colour = SERIES[index if by_circuit else one.backwards if many else number]
                line = {"linewidth": 1.0, "alpha": 0.7} if many else {}
                axis.plot(one.lags, one.left[circuit], color=colour, linestyle=style, **line)
        axis.axhline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0)
        axis.set_xscale("symlog", linthresh=1, linscale=0.3)
        axis.set_xlim(0, max(one.lags[-1] for one in found))
        axis.xaxis.set_major_formatter(FuncFormatter(_plainly))
        axis.set_ylim(0, 1.02)
        axis.set_title("left of a changed token's effect")
        axis.set_xlabel("steps since the token was read")
        handles = _of_circuits(circuits, SERIES if by_circuit else ())
        if not many and len(found) > 1:
            handles = [_line(SERIES[k], one.name) for k, one in enumerate(found)] + handles
        elif any(turned):
            handles = [_line(SERIES[0], "reads forwards"), _line(SERIES[1], "reads backwards"), *handles]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
        return figure


def draw_open_memory(sample: Sample, traces: Sequence[OpenTrace], readout_steps: Sequence[int] = ()) -> Figure:
    """Draw open registers while they read a sample: tokens, entanglement, emissions, purity and fidelity."""
    qubits = traces[0].ideal.entanglement.shape[1]
    circuits = ["", *traces[0].noisy][:2]  # more than one device would hide each other
    entangled = [(trace, _entanglement(trace)) for trace in traces] if qubits > 1 else []
    emitted = _emissions(traces)
    tokens = 0.35 if sample.shown.image is None or len(sample.shown.strip) == 1 else 0.55
    heights = [tokens, *(0.13 * len(rows) + 0.35 for _, rows in entangled)]
    heights += [0.13 * len(emitted) + 0.35] * bool(emitted) + [1.1, 1.1]
    with drawing():
        figure = Figure((WIDTH, sum(heights) + 0.28 * len(heights) + 0.4), layout="constrained")
        axes = figure.subplots(len(heights), sharex=True, height_ratios=heights)
        draw_strip(axes[0], sample.shown)
        axes[0].set_title("tokens")
        rest = iter(axes[1:])
        for trace, rows in entangled:
            name = f", {trace.name}" if trace.name else ""
            draw_rows(next(rest), rows, f"entanglement of each qubit (bits){name}", first=-0.5, most=1.0)
        if emitted:
            draw_rows(next(rest), emitted, "emissions (probability of a 1)", first=0.5)
        purity, fidelity = rest
        _draw_lines(purity, traces, circuits, "purity", "purity")
        purity.axhline(2.0**-qubits, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        _draw_lines(fidelity, traces, circuits, "fidelities", "fidelity with the last state")
        mark_readings(fidelity, readout_steps)
        handles = [_line(SERIES[k], trace.name) for k, trace in enumerate(traces) if trace.name]
        handles += _of_circuits(circuits, star=" (rows with *)")
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
        fidelity.set_xlabel(steps_label(traces))
        fidelity.set_xlim(0, sample.shown.steps + 0.5)
        return figure


def _entanglement(trace: OpenTrace) -> dict[str, np.ndarray]:
    """Return each qubit's entanglement by its name, that on the first device starred."""
    rows = {}
    for star, each in zip(("", "*"), (trace.ideal, *trace.noisy.values()), strict=False):
        for qubit, values in enumerate(each.entanglement.T):
            rows[f"q{qubit}{star}"] = in_order_of_tokens(values, trace.backwards)
    return rows


def _emissions(traces: Sequence[OpenTrace]) -> dict[str, np.ndarray]:
    """Return every emission by the number of its register and its own, that on the first device starred."""
    rows = {}
    for trace in traces:
        number = "".join(part.removeprefix("register ") for part in trace.name.split(", ") if "register" in part)
        for star, each in zip(("", "*"), (trace.ideal, *trace.noisy.values()), strict=False):
            several = each.emissions.shape[1] > 1
            for bit, values in enumerate(each.emissions.T):
                name = " ".join([f"r{number}"] * bool(number) + [f"bit {bit}"] * (several or not number)) + star
                while name in rows:  # the same register of another layer
                    name += "'"
                rows[name] = in_order_of_tokens(values, trace.backwards)
    return rows


def _draw_lines(axis: Axes, traces: Sequence[OpenTrace], circuits: Sequence[str], what: str, title: str) -> None:
    for colour, trace in zip(SERIES, traces, strict=False):
        for style, circuit in zip(_STYLES, circuits, strict=False):
            values = getattr(trace.noisy[circuit] if circuit else trace.ideal, what)
            axis.plot(in_order_of_tokens(values, trace.backwards), color=colour, linestyle=style, linewidth=1.2)
    axis.set_ylim(0, 1.02)
    axis.set_title(title)


def _of_circuits(circuits: Sequence[str], colours: Sequence[str] = (), star: str = "") -> list[Line2D]:
    """Return what explains the styles of lines, where there are errors; the first device's name ends in ``star``."""
    if len(circuits) == 1:
        return []
    names = ["without errors", circuits[1] + star, *circuits[2:]]
    drawn = zip(_STYLES, names, colours or [INK] * len(names), strict=False)
    return [Line2D([], [], color=colour, linestyle=style, label=name) for style, name, colour in drawn]


def _line(colour: str, name: str) -> Line2D:
    return Line2D([], [], color=colour, label=name)


def _plainly(value: float, position: int | None = None) -> str:
    return f"{value:,.4g}"
