"""Tables of Arrow's: Parquet files, and Hugging Face data sets saved on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qlam_qiskit.data.columns import Lists, Table
from qlam_qiskit.errors import ConfigurationError, DataError
from qlam_qiskit.machine_memory import check_memory

if TYPE_CHECKING:
    import pyarrow


class ArrowTable(Table):
    """Columns of Arrow's, from a Parquet file or a saved data set."""

    def __init__(self, path: Path, table: pyarrow.Table, class_names: dict[str, tuple[str, ...]] | None = None) -> None:
        self.path, self._table, self._class_names = path, table, class_names or {}
        self.names = tuple(table.column_names)

    @classmethod
    def of_parquet(cls, path: Path) -> ArrowTable:
        """Read a Parquet file; what it unpacks to is compared with memory first."""
        parquet = needed("pyarrow.parquet", "Parquet files", "pyarrow")
        import pyarrow

        try:
            file = parquet.ParquetFile(path)
            groups = (file.metadata.row_group(k).total_byte_size for k in range(file.metadata.num_row_groups))
            check_memory(2 * sum(groups), f"{path}: what it unpacks to", DataError)
            return cls(path, file.read())
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path}: no sound Parquet file: {' '.join(str(error).split())[:200]}") from None

    def read(self, numbers: Sequence[str], words: Sequence[str]) -> dict[str, np.ndarray | Lists]:
        """Read columns; see the base class."""
        return {
            **{name: self._lists(name) if self.holds_lists(name) else self._numbers(name) for name in numbers},
            **{name: self._word_lists(name) if self.holds_lists(name) else self._words(name) for name in words},
        }

    def place(self, row: int, name: str) -> str:
        """Name a cell by its row, counted from 1."""
        return f"{self.path}: row {row + 1}, column {name}"

    def holds_lists(self, name: str) -> bool:
        """Whether a column has a list in every row."""
        return _is_list(self._table.schema.field(name).type)

    def classes(self, name: str) -> tuple[str, ...] | None:
        """Return the names of the classes of a ClassLabel."""
        return self._class_names.get(name)

    def _numbers(self, name: str) -> np.ndarray:
        from pyarrow import types

        kind = self._table.schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
            raise DataError(f"{self.path}: column {name} holds {kind}, not numbers")
        found = self._table[name].cast("float64", safe=False).to_numpy()
        self._check_finite(name, found)
        return found

    def _words(self, name: str) -> np.ndarray:
        values = self._table[name].to_pylist()
        return np.array([self._word(value, row, name) for row, value in enumerate(values)], dtype=object)

    def _word(self, value: Any, row: int, name: str) -> str:
        if value is None:
            raise DataError(f"{self.place(row, name)}: is empty")
        names = self.classes(name)
        if names is None:
            return str(value)
        if not 0 <= value < len(names):
            raise DataError(f"{self.place(row, name)}: {value} is none of the {len(names)} classes")
        return names[value]

    def _word_lists(self, name: str) -> Lists:
        rows = self._table[name].to_pylist()
        if None in rows:
            raise DataError(f"{self.place(rows.index(None), name)}: is empty")
        words = [self._word(value, row, name) for row, values in enumerate(rows) for value in values]
        return Lists(np.array(words, dtype=object).reshape(-1, 1), np.array([len(values) for values in rows], np.int64))

    def _lists(self, name: str) -> Lists:
        """Take lists of numbers, or of tokens that are lists of equally many numbers, apart."""
        import pyarrow.compute

        column = self._table[name].combine_chunks()
        if column.null_count:
            raise DataError(f"{self.place(column.is_null().to_pylist().index(True), name)}: is empty")
        lengths = pyarrow.compute.list_value_length(column).to_numpy().astype(np.int64)
        values, size = column.flatten(), 1
        if _is_list(values.type):
            sizes = np.unique(pyarrow.compute.list_value_length(values).to_numpy())
            if len(sizes) > 1 or values.null_count:
                raise DataError(f"{self.path}: column {name}: tokens have different numbers of numbers")
            size, values = int(sizes[0]) if len(sizes) else 1, values.flatten()
        try:
            numbers = values.cast("float64", safe=False).to_numpy(zero_copy_only=False)
        except pyarrow.ArrowException:
            raise DataError(f"{self.path}: column {name} holds lists of {values.type}, not of numbers") from None
        if not np.isfinite(numbers).all():
            token = int(np.argmin(np.isfinite(numbers))) // size
            row = int(np.searchsorted(np.cumsum(lengths), token, side="right"))
            raise DataError(f"{self.place(row, name)}: holds what is no finite number")
        return Lists(numbers.reshape(-1, size), lengths)

    def _check_finite(self, name: str, found: np.ndarray) -> None:
        infinite = np.isinf(found)
        if infinite.any():
            raise DataError(f"{self.place(int(np.argmax(infinite)), name)}: {found[infinite][0]} is no finite number")


def saved_tables(path: Path) -> dict[str, ArrowTable]:
    """Read a Hugging Face data set that ``save_to_disk`` wrote: its splits by name, "train" where there is only one."""
    datasets = needed("datasets", "data sets saved by Hugging Face's library", "datasets")
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever a damaged folder raises inside that library
        raise DataError(f"{path}: no sound saved data set: {' '.join(str(error).split())[:200]}") from None
    splits = found if isinstance(found, datasets.DatasetDict) else {"train": found}
    check_memory(2 * sum(split.data.nbytes for split in splits.values()), f"{path}: what it holds", DataError)
    tables = {}
    for name, split in splits.items():
        # What a list is of has the names of the classes.
        features = {key: getattr(feature, "feature", feature) for key, feature in split.features.items()}
        tables[name] = ArrowTable(
            path,
            split.with_format("arrow")[:],
            {key: tuple(of.names) for key, of in features.items() if isinstance(of, datasets.ClassLabel)},
        )
    return tables


def needed(module: str, what: str, package: str) -> Any:
    """Import what reads a kind of file; raises ConfigurationError naming the extra that brings it."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise ConfigurationError(
            f"{what} are read by {package}, which is not installed: pip install 'qlam-qiskit[data]'"
        ) from None


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
