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

_VALUE_BYTES = 8  # of a number, or of a word's place among the words


class ArrowTable(Table):
    """Columns of Arrow's, from a Parquet file or a saved data set."""

    def __init__(self, path: Path, table: pyarrow.Table, class_names: dict[str, tuple[str, ...]] | None = None) -> None:
        self.path, self._table, self._class_names = path, table, class_names or {}
        self.names = tuple(table.column_names)

    @classmethod
    def of_parquet(cls, path: Path) -> ArrowTable:
        """Read a Parquet file; what it unpacks to is compared with memory first.

        A value that is repeated is stored once there, so that a small file may hold any number of rows. Words are left
        so: each is in memory once.
        """
        parquet = needed("pyarrow.parquet", "Parquet files", "pyarrow")
        import pyarrow

        try:
            with parquet.ParquetFile(path) as file:
                leaves = [file.schema.column(k) for k in range(len(file.schema))]
                groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
            values = sum(group.column(k).num_values for group in groups for k in range(group.num_columns))
            packed = sum(group.total_byte_size for group in groups)
            check_memory(2 * max(packed, _VALUE_BYTES * values), f"{path}: what it unpacks to", DataError)
            words = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
            with parquet.ParquetFile(path, read_dictionary=words) as file:
                return cls(path, file.read().unify_dictionaries())
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

        column = self._table[name]
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
            raise DataError(f"{self.path}: column {name} holds {kind}, not numbers")
        found = column.cast("float64", safe=False).to_numpy()
        self._check_finite(name, found)
        return found

    def _words(self, name: str) -> np.ndarray:
        column = self._table[name].combine_chunks()
        return self._texts(column, name, np.arange(len(column)))

    def _word_lists(self, name: str) -> Lists:
        column, lengths = self._whole_lists(name)
        texts = self._texts(column.flatten(), name, np.repeat(np.arange(len(column)), lengths))
        return Lists(texts.reshape(-1, 1), lengths)

    def _whole_lists(self, name: str) -> tuple[pyarrow.Array, np.ndarray]:
        """Return a column of lists, none of them missing, and their lengths."""
        import pyarrow.compute

        column = self._table[name].combine_chunks()
        if column.null_count:
            raise DataError(f"{self.place(column.is_null().to_pylist().index(True), name)}: is empty")
        return column, pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)

    def _texts(self, values: pyarrow.Array, name: str, rows: np.ndarray) -> np.ndarray:
        """Return values as words, str: what stands in several places is one object."""
        from pyarrow import types

        if values.null_count:
            row = rows[int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))]
            raise DataError(f"{self.place(int(row), name)}: is empty")
        if not types.is_dictionary(values.type):
            values = values.dictionary_encode()
        places, different = values.indices.to_numpy(), values.dictionary.to_pylist()
        if (names := self.classes(name)) is not None:
            for number, label in enumerate(different):
                if not 0 <= label < len(names):
                    row = int(rows[int(np.argmax(places == number))])
                    raise DataError(f"{self.place(row, name)}: {label} is none of the {len(names)} classes")
            different = [names[label] for label in different]
        return np.array([str(word) for word in different], dtype=object)[places]

    def _lists(self, name: str) -> Lists:
        """Take lists of numbers, or of tokens that are lists of equally many numbers, apart."""
        import pyarrow.compute

        column, lengths = self._whole_lists(name)
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
