"""Tables of a user's own, column by column, and reading them from CSV; what is wrong has row and column in its message.

A column of a table of Arrow's may hold a list in every row: a whole sequence of numbers, or of tokens.
"""

from __future__ import annotations

import csv
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qlam_qiskit.errors import ConfigurationError, DataError
from qlam_qiskit.machine_memory import check_memory
from qlam_qiskit.suggestions import did_you_mean

_CHUNK = 4096  # rows of CSV that are held as text
_LONGEST_FIELD = 1 << 20


@dataclass(frozen=True, eq=False)
class Lists:
    """A list in every row: the numbers, or words, of all rows (total, c), and how many tokens each row has, (N,)."""

    numbers: np.ndarray
    lengths: np.ndarray


class Table(ABC):
    """Columns with names.

    Attributes
    ----------
    path
        Where it comes from.
    names
        Of the columns.
    """

    path: Path
    names: tuple[str, ...]

    @abstractmethod
    def read(self, numbers: Sequence[str], words: Sequence[str]) -> dict[str, np.ndarray | Lists]:
        """Read columns of numbers, float64 with NaN for what is blank or lists of them, and columns of words, str.

        Raises DataError naming row and column of a cell that is neither blank nor a finite number, or of a blank word.
        """

    @abstractmethod
    def place(self, row: int, name: str) -> str:
        """Name a cell in a message; ``row`` counts from 0."""

    def holds_lists(self, name: str) -> bool:
        """Whether a column has a list in every row."""
        return False

    def classes(self, name: str) -> tuple[str, ...] | None:
        """Return the names of a column's classes, where the table says them in order."""
        return None

    def check_names(self, names: Sequence[str], key: str) -> None:
        """Raise ConfigurationError for a column that the setting ``key`` names, and that there is not."""
        for name in names:
            if name not in self.names:
                near = did_you_mean(name, self.names)
                raise ConfigurationError(f"data.{key}: {self.path} has no column {name!r}{near}")


class CsvTable(Table):
    """A CSV file (or, ending in .tsv, one with tabs) whose first line names the columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delimiter = "\t" if path.suffix == ".tsv" else ","
        csv.field_size_limit(_LONGEST_FIELD)
        rows = self._rows()
        _, self.names = next(rows, (1, ()))
        if not self.names or len(set(self.names)) < len(self.names) or "" in self.names:
            raise DataError(f"{path}: line 1 must name the columns, each once and none empty")
        if all(_is_number(name) for name in self.names):
            raise DataError(f"{path}: line 1 must name the columns, and holds numbers")
        self._lines: list[int] = []

    def _rows(self) -> Any:
        """Yield the number of each line that is not empty, and its cells."""
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    if cells:
                        yield reader.line_num, tuple(cell.strip() for cell in cells)
        except UnicodeDecodeError:
            raise DataError(f"{self.path}: not text in UTF-8") from None
        except csv.Error as error:
            raise DataError(f"{self.path}: line {reader.line_num}: {error}") from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror or error}") from None

    def read(self, numbers: Sequence[str], words: Sequence[str]) -> dict[str, np.ndarray | Lists]:
        """Read columns; see the base class."""
        # A number takes two bytes of the file at least, and eight here.
        check_memory(6 * self.path.stat().st_size, f"{self.path}: what it holds", DataError)
        place = {name: column for column, name in enumerate(self.names)}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*numbers, *words)}
        waiting: list[tuple[str, ...]] = []
        self._lines = []

        def empty() -> None:
            first = len(self._lines) - len(waiting)
            for name in numbers:
                parts[name].append(self._numbers([cells[place[name]] for cells in waiting], first, name))
            for name in words:
                parts[name].append(self._words([cells[place[name]] for cells in waiting], first, name))
            waiting.clear()

        rows = self._rows()
        next(rows)
        for line, cells in rows:
            if len(cells) != len(self.names):
                raise DataError(
                    f"{self.path}: line {line} has {len(cells)} cells, line 1 names {len(self.names)} columns"
                )
            self._lines.append(line)
            waiting.append(cells)
            if len(waiting) == _CHUNK:
                empty()
        empty()
        return {name: np.concatenate(part) for name, part in parts.items()}

    def place(self, row: int, name: str) -> str:
        """Name a cell by its line in the file."""
        return f"{self.path}: line {self._lines[row]}, column {name}"

    def _numbers(self, cells: list[str], first: int, name: str) -> np.ndarray:
        try:
            found = np.array([cell or "nan" for cell in cells], np.float64)
        except ValueError:
            found = np.full(len(cells), np.nan)
        for row in np.flatnonzero(~np.isfinite(found)):
            if cells[row]:
                if _is_number(cells[row]):
                    found[row] = float(cells[row])
                else:
                    raise DataError(f"{self.place(first + row, name)}: {cells[row]!r} is no finite number")
        return found

    def _words(self, cells: list[str], first: int, name: str) -> np.ndarray:
        if "" in cells:
            raise DataError(f"{self.place(first + cells.index(''), name)}: is empty")
        return np.array(cells, dtype=object)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
