"""Samples in a table: a row for each, whose columns are its steps or hold lists of them, or a row for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from qlam_qiskit.data.columns import Lists, Table
from qlam_qiskit.data.samples import Goal, Samples
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.errors import ConfigurationError, DataError


def samples_of_table(settings: DataSettings, table: Table) -> tuple[Samples, Goal]:
    """Take the samples of a table as the settings say, and what is to be learned of them.

    Raises ConfigurationError for columns that there are not, and DataError naming row and column of what is wrong.
    """
    if settings.labels is None:
        raise ConfigurationError(
            f"data.labels: name the column of {table.path} to learn: {', '.join(table.names[:20])}"
        )
    labels = _chosen(table, settings.labels, "labels")
    others = tuple(name for name in table.names if name not in (*labels, settings.sample))
    tokens = others if settings.tokens is None else _chosen(table, settings.tokens, "tokens")
    if settings.sample is not None:
        table.check_names([settings.sample], "sample")
    if both := [name for name in tokens if name in labels or name == settings.sample]:
        raise ConfigurationError(f"data.tokens: column {both[0]!r} is named twice")
    if not tokens:
        raise ConfigurationError(f"data.tokens: {table.path} has no column left for tokens")
    return _TableReader(settings, table, tokens, labels).read()


@dataclass(frozen=True)
class _TableReader:
    """Reads samples from the columns ``tokens`` and ``labels`` of a table."""

    settings: DataSettings
    table: Table
    tokens: tuple[str, ...]
    labels: tuple[str, ...]

    def read(self) -> tuple[Samples, Goal]:
        """Return the samples, and what is to be learned of them."""
        regression, every_step = self.settings.task == "regression", self.settings.every_step
        if not regression and len(self.labels) > 1 and not (every_step and self._wide):
            raise ConfigurationError(
                "data.labels: classification has one column of labels; regression may have several"
            )
        numbers, words = (*self.tokens, *self.labels) if regression else self.tokens, () if regression else self.labels
        if self.settings.sample is not None:
            words = (self.settings.sample, *words)
        columns = self.table.read(numbers, words)
        first = columns[self.tokens[0]]
        if not len(first.lengths if isinstance(first, Lists) else first):
            samples = Samples([], [], str(self.table.path))
        else:
            samples = self._of_rows(columns) if self.settings.sample is None else self._of_steps(columns)
        names = self.labels if regression and not (every_step and self._wide) else None
        return samples, Goal(regression, every_step, names=names if regression else self.table.classes(self.labels[0]))

    @property
    def _wide(self) -> bool:
        """Whether a row is a sample whose steps are columns of one number each."""
        return self.settings.sample is None and not self.table.holds_lists(self.tokens[0])

    def _of_rows(self, columns: dict[str, np.ndarray | Lists]) -> Samples:
        """Take a sample from each row."""
        if self._wide:
            numbers = np.stack([self._plain(columns, name) for name in self.tokens], axis=1)
            lengths = self._lengths(numbers)
            tokens = [row[:length, None] for row, length in zip(numbers, lengths, strict=True)]
        else:
            lists = [self._listed(columns, name) for name in self.tokens]
            lengths = lists[0].lengths
            for name, part in zip(self.tokens, lists, strict=True):
                if (differs := np.flatnonzero(part.lengths != lengths)).size:
                    raise DataError(
                        f"{self.table.place(int(differs[0]), name)}: {part.lengths[differs[0]]} tokens, "
                        f"{lengths[differs[0]]} in column {self.tokens[0]}"
                    )
            tokens = np.split(np.concatenate([part.numbers for part in lists], axis=1), np.cumsum(lengths)[:-1])
        return Samples(tokens, self._answers_of_rows(columns, lengths), str(self.table.path))

    def _answers_of_rows(self, columns: dict[str, np.ndarray | Lists], lengths: np.ndarray) -> Sequence:
        if not self.settings.every_step:
            if self.settings.task == "classification":
                return list(self._plain(columns, self.labels[0]))
            return self._filled(columns)
        if not self._wide:
            lists = [self._listed(columns, name) for name in self.labels]
            for name, part in zip(self.labels, lists, strict=True):
                if (differs := np.flatnonzero(part.lengths != lengths)).size:
                    raise DataError(
                        f"{self.table.place(int(differs[0]), name)}: {part.lengths[differs[0]]} labels for "
                        f"{lengths[differs[0]]} tokens"
                    )
            answers = np.concatenate([part.numbers for part in lists], axis=1)
            return np.split(answers if self.settings.task == "regression" else answers[:, 0], np.cumsum(lengths)[:-1])
        if len(self.labels) != len(self.tokens):
            raise ConfigurationError(
                f"data.labels: {len(self.labels)} columns for {len(self.tokens)} steps; every step needs its own"
            )
        if self.settings.task == "classification":
            words = np.stack([columns[name] for name in self.labels], axis=1)
            return [row[:length] for row, length in zip(words, lengths, strict=True)]
        numbers = np.stack([self._plain(columns, name) for name in self.labels], axis=1)
        for row, length in enumerate(lengths):
            if (missing := np.flatnonzero(np.isnan(numbers[row, :length]))).size:
                raise DataError(f"{self.table.place(row, self.labels[missing[0]])}: is empty")
        return [row[:length, None] for row, length in zip(numbers, lengths, strict=True)]

    def _of_steps(self, columns: dict[str, np.ndarray | Lists]) -> Samples:
        """Gather the rows of each sample, in their order; samples come in the order of their first rows."""
        number: dict[str, int] = {}
        sample_of = np.array([number.setdefault(name, len(number)) for name in columns[self.settings.sample]], np.int64)
        numbers = np.stack([self._plain(columns, name) for name in self.tokens], axis=1)
        self._check_filled(numbers, self.tokens)
        order = np.argsort(sample_of, kind="stable")
        ends = np.cumsum(np.bincount(sample_of))[:-1]
        tokens = np.split(numbers[order], ends)
        if self.settings.task == "classification":
            answers = columns[self.labels[0]][order]
        else:
            answers = np.array(self._filled(columns))[order]
        parts = np.split(answers, ends)
        if not self.settings.every_step:
            parts = [self._constant(part, rows) for part, rows in zip(parts, np.split(order, ends), strict=True)]
        return Samples(tokens, parts, str(self.table.path))

    def _constant(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray | str:
        """Return what all rows of a sample say; DataError where they do not agree."""
        differs = np.flatnonzero((answers != answers[:1]).reshape(len(answers), -1).any(axis=1))
        if differs.size:
            raise DataError(
                f"{self.table.place(int(rows[differs[0]]), self.labels[0])}: another label than in the sample's rows "
                "before; every_step: true learns one for each row"
            )
        return answers[0]

    def _filled(self, columns: dict[str, np.ndarray | Lists]) -> list[np.ndarray]:
        numbers = np.stack([self._plain(columns, name) for name in self.labels], axis=1)
        self._check_filled(numbers, self.labels)
        return list(numbers)

    def _check_filled(self, numbers: np.ndarray, names: Sequence[str]) -> None:
        missing = np.argwhere(np.isnan(numbers))
        if len(missing):
            row, column = missing[0]
            raise DataError(f"{self.table.place(int(row), names[column])}: is empty")

    def _lengths(self, numbers: np.ndarray) -> np.ndarray:
        """Count the steps of rows that end in blanks; DataError for a blank before the end."""
        filled = ~np.isnan(numbers)
        lengths = numbers.shape[1] - np.argmax(filled[:, ::-1], axis=1)
        lengths[~filled.any(axis=1)] = 0
        for row in np.flatnonzero((lengths != filled.sum(axis=1)) | (lengths == 0)):
            column = int(np.argmin(filled[row]))
            raise DataError(f"{self.table.place(int(row), self.tokens[column])}: is empty; only a sample's end may be")
        return lengths

    def _plain(self, columns: dict[str, np.ndarray | Lists], name: str) -> np.ndarray:
        if isinstance(columns[name], Lists):
            raise DataError(f"{self.table.path}: column {name} holds lists, where each row should have one value")
        return columns[name]

    def _listed(self, columns: dict[str, np.ndarray | Lists], name: str) -> Lists:
        if not isinstance(columns[name], Lists):
            raise DataError(f"{self.table.path}: column {name} holds no lists, where each row should have one")
        return columns[name]


def _chosen(table: Table, said: str | Sequence[str], key: str) -> tuple[str, ...]:
    """List the columns that a setting names, each by its name or by a pattern such as ``t*``, in the table's order."""
    chosen: list[str] = []
    for name in [said] if isinstance(said, str) else said:
        if name not in table.names and any(mark in name for mark in "*?["):
            found = [column for column in table.names if fnmatchcase(column, name)]
            if not found:
                raise ConfigurationError(f"data.{key}: {table.path} has no column like {name!r}")
            chosen += found
        else:
            table.check_names([name], key)
            chosen.append(name)
    return tuple(dict.fromkeys(chosen))
