"""Numbers as a person reads them: counted things, spans of time, sums of seconds, how well a model did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_SPANS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def counted(count: int, thing: str) -> str:
    """Say how many there are: ``1 job``, ``2,000 jobs``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def span(seconds: float) -> str:
    """Say roughly how long: ``40 s``, ``12 min``, ``3 h``, ``2 days``."""
    for unit, size in _SPANS:
        if seconds >= size:
            many = int(seconds // size)
            return counted(many, unit) if unit == "day" else f"{many} {unit}"
    return "0 s"


def seconds(value: float) -> str:
    """Say seconds with as many digits as matter: ``0.4 s``, ``12 s``, ``1,204 s``."""
    return f"{value:,.0f} s" if value >= 10 or value == int(value) else f"{value:.1f} s"


def quality(values: Mapping[str, Any], prefix: str = "") -> str:
    """Say what a result has under ``prefix``: ``97.20% of``, or ``NRMSE 0.12, MAE 0.4, R2 0.98 on``; samples follow."""
    if f"{prefix}accuracy" in values:
        return f"{values[f'{prefix}accuracy']:.2%} of"
    nrmse, mae, r2 = (values[f"{prefix}{name}"] for name in ("nrmse", "mae", "r2"))
    return f"NRMSE {nrmse:.4g}, MAE {mae:.4g}, R2 {r2:.4g} on"


def html_table(rows: Iterable[tuple[str, str]]) -> str:
    """Write labels and what they say as a table of HTML, for notebooks."""
    cells = (f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in rows)
    return f"<table>{''.join(cells)}</table>"
