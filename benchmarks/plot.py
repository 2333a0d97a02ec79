"""Draws what ``peers`` measured: the time of a pass in every case, on a logarithmic axis."""

from __future__ import annotations

import io
import statistics
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from qlam_qiskit.workspace import write_atomically

_OURS, _PEER, _INK = "#1b6ca8", "#8a9099", "#33373d"


def draw(found: dict[str, Any], path: Path) -> None:
    """Write a picture of the results; its format follows from the name."""
    cases = [(case, list(results)) for case, results in groupby(found["results"], key=case_of)]
    rows = sum(len(results) + 1 for _, results in cases)
    figure = Figure(figsize=(9.5, 1.5 + 0.3 * rows + 0.35 * len(cases)), layout="constrained")
    heights = [len(results) + 1.6 for _, results in cases]
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for panel, (case, results) in zip(panels, cases, strict=True):
        _draw_case(panel, case, results)
    medians = [1e3 * result[side]["pass_s"]["median"] for result in found["results"] for side in ("ours", "theirs")]
    panels[0].set_xlim(min(medians) / 2, max(medians) * 400)
    panels[-1].set_xlabel("forward + backward of the whole batch, milliseconds")
    machine = found["machine"]
    figure.suptitle(f"float32 on {machine['cores']} cores of {machine['processor']}", fontsize=11, color=_INK)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:], dpi=130)
    write_atomically(path, picture.getvalue())


def case_of(result: dict[str, Any]) -> str:
    """Name the case of a result."""
    damped = ", damped" if result.get("damped") else ""
    return f"n = {result['qubits']}, T = {result['steps']}, batch {result['batch']}{damped}"


def milliseconds(seconds: float) -> str:
    """Write a time in ms, with three digits where they matter."""
    value = 1e3 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def times(ratio: float) -> str:
    """Write a ratio, with two digits where they matter."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _draw_case(panel: Any, case: str, results: list[dict[str, Any]]) -> None:
    """Mark every peer's median time and its spread, and the engine's own: the median over all its turns in the case."""
    ours = statistics.median(result["ours"]["pass_s"]["median"] for result in results)
    panel.plot(1e3 * ours, 0, "o", color=_OURS, markersize=8)
    _label(panel, 0, ours, milliseconds(ours))
    for row, result in enumerate(results, 1):
        spread = {name: 1e3 * seconds for name, seconds in result["theirs"]["pass_s"].items()}
        panel.hlines(row, spread["lowest"], spread["highest"], color=_PEER, linewidth=2)
        panel.plot(spread["median"], row, "o", color=_PEER, markersize=7)
        slower = times(result["times_as_fast"]["median"])
        median = result["theirs"]["pass_s"]["median"]
        _label(panel, row, median, f"{milliseconds(median)}, {slower} x ours")
    panel.axvline(1e3 * ours, color=_OURS, linewidth=0.8, alpha=0.5, zorder=0)
    panel.set_xscale("log")
    panel.minorticks_off()
    panel.set_ylim(len(results) + 0.6, -0.6)
    panel.set_yticks(range(len(results) + 1), ["qlam-qiskit", *map(_name, results)], fontsize=8)
    panel.set_title(case, fontsize=9, loc="left", color=_INK, fontweight="bold")
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="x", color="#e6e8eb", linewidth=0.6)
    panel.grid(axis="y", color="#f0f1f3", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)


def _name(result: dict[str, Any]) -> str:
    return result["title"] if result["peer_scaled_by"] == 1 else f"{result['title']} (scaled up)"


def _label(panel: Any, row: int, seconds: float, text: str) -> None:
    panel.annotate(text, (1e3 * seconds, row), (8, 0), textcoords="offset points", va="center", fontsize=8)
