"""How figures look: sizes, colours that colour-blind readers can tell apart, and figures as SVG inside a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

WIDTH = 4.0  # inches: a column of a paper, and of a page on a phone

INK, MUTED, GRID, PAPER = "#1b1f24", "#6a737d", "#d8dee4", "#ffffff"
OUTLINE = "#fefefe"  # white in the dark too: it lies on pictures
# Okabe and Ito's palette, in an order in which neighbours differ most.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# In a page these colours are the style sheet's, which has others for the dark.
_VARIABLES = {INK: "ink", "#000000": "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, start=1)
}

_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and is wider than what pages put in its place
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.0,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names are text, dollar signs and all
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "ytick.major.size": 0.0,
    "svg.hashsalt": "qlam",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def stylesheet() -> str:
    """Return the style sheet of pages, light and dark."""
    return (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in this package's style, whatever the user's own is."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def as_file(figure: Figure, kind: str, *, dpi: int = 300) -> bytes:
    """Write a figure as "png" (of ``dpi``), "svg" or "pdf", on white; the same figure gives the same bytes."""
    metadata = {"svg": _NO_METADATA, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}.get(kind)
    stream = BytesIO()
    with drawing(), mpl.rc_context({"svg.fonttype": "path"}):
        figure.savefig(stream, format=kind, dpi=dpi, facecolor=PAPER, metadata=metadata)
    return stream.getvalue()


def as_inline_svg(figure: Figure, name: str, label: str, *, text_as_paths: bool = False) -> str:
    """Write a figure as an <svg> element of a page: ``name`` makes its ids unique, ``label`` is read to the blind.

    Text stays text, in the page's font, unless ``text_as_paths``, which formulas need. The style sheet finds the width
    that the figure was drawn for as --width.
    """
    stream = BytesIO()
    with drawing(), mpl.rc_context({"svg.fonttype": "path" if text_as_paths else "none"}):
        figure.savefig(stream, format="svg", metadata=_NO_METADATA)
    text = stream.getvalue().decode()
    text = text[text.index("<svg") :]
    opening, rest = text.split(">", 1)
    box = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', opening)
    rest = re.sub(r"<g id=\"[^\"]*\">", "<g>", rest)  # names of artists, which nothing refers to
    rest = re.sub(r'(?<=\bid=")', f"{name}-", rest)
    rest = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{name}-", rest)
    rest = re.sub(r"font-family: [^;\"]*;? ?", "", rest)
    rest = re.sub(r"(?<=: )#[0-9a-f]{6}\b", _as_variable, rest)
    rest = rest.replace("xlink:href", "href")
    return f'<svg {box[0]} style="--width: {box[1]}pt" role="img" aria-label="{_escaped(label)}">{rest.strip()}'


def _as_variable(match: re.Match[str]) -> str:
    name = _VARIABLES.get(match[0])
    return f"var(--{name})" if name else match[0]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
