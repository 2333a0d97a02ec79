"""Reads the ``.ts`` files of the UCR and UEA archives: series of one or more dimensions, with a label or a target each.

The archive's own reader is aeon's. Its releases hold numba back, which the engine is compiled by, so that both cannot
be installed together; the format is a header of ``@`` lines, and one line for each case: dimensions between colons,
numbers between commas, and the label last. Source: Bagnall et al. 2018, arXiv 1811.00075, and the archive's files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qlam_qiskit.errors import DataError
from qlam_qiskit.machine_memory import check_memory


@dataclass
class TsFile:
    """What a file holds: cases (T, c) float64, their labels as text, the classes that the header names, its name."""

    path: Path
    cases: list[np.ndarray] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    classes: tuple[str, ...] | None = None
    has_targets: bool = False
    name: str = ""


def read_ts(path: Path) -> TsFile:
    """Read a ``.ts`` file; raises DataError naming line, dimension and number of what is wrong."""
    try:
        size = path.stat().st_size
        check_memory(6 * size, f"{path}: what it holds", DataError)
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not text in UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    found, in_data = TsFile(path, name=path.stem), False
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if in_data:
            _add_case(found, line, number)
        elif line.lower() == "@data":
            in_data = True
        else:
            _read_header(found, line, number)
    if not found.cases:
        raise DataError(f"{path}: holds no cases" if in_data else f"{path}: has no line @data")
    return found


def _read_header(found: TsFile, line: str, number: int) -> None:
    if not line.startswith("@"):
        raise DataError(f"{found.path}: line {number}: the header's lines begin with @, and @data ends it")
    key, *values = line.split()
    said = values[0].lower() if values else ""
    match key.lower():
        case "@problemname":
            found.name = " ".join(values) or found.name
        case "@timestamps" if said == "true":
            raise DataError(f"{found.path}: line {number}: series with time stamps are not read: resample them evenly")
        case "@classlabel" if said == "true":
            found.classes = tuple(values[1:]) or None
        case "@targetlabel" if said == "true":
            found.has_targets = True


def _add_case(found: TsFile, line: str, number: int) -> None:
    *dimensions, label = line.split(":")
    label = label.strip()
    if not dimensions or not label:
        raise DataError(f"{found.path}: line {number}: dimensions and a label must stand between colons")
    if found.classes is not None and label not in found.classes:
        raise DataError(f"{found.path}: line {number}: label {label!r} is none of the header's @classLabel")
    rows = [_numbers(found.path, text, number, place) for place, text in enumerate(dimensions, start=1)]
    if len({len(row) for row in rows}) > 1:
        raise DataError(f"{found.path}: line {number}: its dimensions have different lengths")
    if found.cases and len(rows) != found.cases[0].shape[1]:
        raise DataError(
            f"{found.path}: line {number} has {len(rows)} dimensions, line {found.lines[0]} {found.cases[0].shape[1]}"
        )
    found.cases.append(np.array(rows).T)
    found.labels.append(label)
    found.lines.append(number)


def _numbers(path: Path, text: str, number: int, dimension: int) -> list[float]:
    cells = [cell.strip() for cell in text.split(",")]
    while len(cells) > 1 and cells[-1] in ("?", "NaN", "nan"):  # as equally long files are padded
        cells.pop()
    found = []
    for place, cell in enumerate(cells, start=1):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(
                f"{path}: line {number}, dimension {dimension}, number {place}: {cell!r} is no finite number; "
                "missing values have to be filled in"
            )
        found.append(value)
    return found
