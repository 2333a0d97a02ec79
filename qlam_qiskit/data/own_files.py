"""A user's own file as a task: CSV, Parquet, npz, ``.ts`` archives, or a Hugging Face data set saved on disk.

A table has a row for each sample, whose columns are its steps (or lists of them), or a row for each step, with a column
``sample`` that says whose. What is wrong with a file is one line with row and column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from qlam_qiskit.data.columns import ArrowTable, CsvTable, Lists, Table, saved_tables
from qlam_qiskit.data.samples import Goal, Samples, divide, make_task
from qlam_qiskit.data.sequences import SequenceData
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.data.ts_file import TsFile, read_ts
from qlam_qiskit.errors import ConfigurationError, DataError
from qlam_qiskit.npz_archive import read_npz

FORMATS = ".csv, .tsv, .parquet, .npz, .ts, or a folder that datasets.save_to_disk wrote"


def load_own(settings: DataSettings, folder: Path) -> SequenceData:
    """Load the file that ``path`` names, relative to ``folder``, as the settings say.

    Raises DataError for what is wrong in it, ConfigurationError for settings that do not fit it or a reader that is not
    installed.
    """
    path = folder / settings.path
    if not path.exists():
        raise DataError(f"{path}: no such file")
    test_path = None if settings.test_path is None else folder / settings.test_path
    if test_path is not None and not test_path.exists():
        raise DataError(f"{test_path}: no such file")
    train, test, goal, name = _read(settings, path, test_path)
    if test is None:
        if len(train) < 2:
            raise DataError(f"{path}: a training and a test part need at least 2 samples, not {len(train)}")
        train, test = divide(train, settings.test_fraction, settings.split_seed, regression=goal.regression)
    return make_task(name, train, test, replace(goal, normalize=settings.normalize))


def _read(settings: DataSettings, path: Path, test_path: Path | None) -> tuple[Samples, Samples | None, Goal, str]:
    if path.is_dir():
        tables = saved_tables(path)
        names = [name for name in ("train", "test") if name in tables] or list(tables)
        if test_path is not None:
            raise ConfigurationError("data.test_path: a saved data set brings its own split named test, or is divided")
        train, goal = _of_table(settings, tables[names[0]])
        test = _of_table(settings, tables["test"])[0] if "test" in names[1:] else None
        return train, test, goal, path.name
    if path.suffix == ".npz":
        if test_path is not None:
            raise ConfigurationError("data.test_path: an .npz file holds both parts, x_train, y_train, x_test, y_test")
        return (*_of_npz(settings, path), path.stem)
    if path.suffix == ".ts":
        return _of_archive(settings, path, test_path)
    train, goal = _of_table(settings, _open_table(path))
    test = None if test_path is None else _of_table(settings, _open_table(test_path))[0]
    return train, test, goal, path.stem


def _open_table(path: Path) -> Table:
    if path.suffix in (".csv", ".tsv"):
        return CsvTable(path)
    if path.suffix in (".parquet", ".pq"):
        return ArrowTable.of_parquet(path)
    raise ConfigurationError(f"data.path: {path}: what can be read is {FORMATS}")


def _of_table(settings: DataSettings, table: Table) -> tuple[Samples, Goal]:
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
        names = columns[self.settings.sample].astype(str)
        numbers = np.stack([self._plain(columns, name) for name in self.tokens], axis=1)
        self._check_filled(numbers, self.tokens)
        _, first, sample_of = np.unique(names, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        order = np.argsort(rank[sample_of], kind="stable")
        ends = np.cumsum(np.bincount(rank[sample_of]))[:-1]
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


def _of_archive(
    settings: DataSettings, path: Path, test_path: Path | None
) -> tuple[Samples, Samples | None, Goal, str]:
    """Read a ``.ts`` file, and the test part beside it where its name ends in _TRAIN."""
    _refuse_columns(settings, ".ts")
    if settings.every_step:
        raise ConfigurationError("data.every_step: a .ts file has one label for each case")
    if test_path is None and path.stem.upper().endswith("_TRAIN"):
        beside = path.with_name(f"{path.stem[:-5]}{'test' if path.stem[-5:].islower() else 'TEST'}.ts")
        test_path = beside if beside.exists() else None
    files = [read_ts(part) for part in (path, test_path) if part is not None]
    regression = settings.task == "regression"
    parts = [_of_ts(file, regression) for file in files]
    classes = None if regression else files[0].classes
    goal = Goal(regression, False, names=("target",) if regression else classes)
    name = files[0].name.removesuffix("_TRAIN")
    return parts[0], parts[1] if len(parts) > 1 else None, goal, name


def _of_ts(file: TsFile, regression: bool) -> Samples:
    if regression != file.has_targets:
        kind, task = ("targets", "regression") if file.has_targets else ("classes", "classification")
        raise ConfigurationError(f"data.task: {file.path} has {kind} as its header says: task: {task} learns them")
    if not regression:
        return Samples(file.cases, file.labels, str(file.path))
    targets = []
    for label, line in zip(file.labels, file.lines, strict=True):
        try:
            targets.append(np.array([float(label)]))
        except ValueError:
            targets.append(np.array([np.nan]))
        if not np.isfinite(targets[-1]).all():
            raise DataError(f"{file.path}: line {line}: the target {label!r} is no finite number")
    return Samples(file.cases, targets, str(file.path))


def _of_npz(settings: DataSettings, path: Path) -> tuple[Samples, Samples, Goal]:
    """Read x_train, y_train, x_test, y_test; shorter samples end in tokens of NaN."""
    _refuse_columns(settings, ".npz")
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    parts = [_of_arrays(settings, f"{path}: {part}", arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in _PARTS]
    return parts[0], parts[1], Goal(settings.task == "regression", settings.every_step)


_PARTS = ("train", "test")


def _of_arrays(settings: DataSettings, source: str, tokens: np.ndarray, labels: np.ndarray) -> Samples:
    regression, every_step = settings.task == "regression", settings.every_step
    if tokens.dtype.kind not in "fiu" or tokens.ndim not in (2, 3) or not tokens.size:
        raise DataError(
            f"{source}: x must hold real numbers in shape (N, T) or (N, T, c), not {tokens.dtype} in {tokens.shape}"
        )
    lead = tokens.shape[: 2 if every_step else 1]
    most = len(lead) + (1 if regression else 0)
    kinds = "fiu" if regression else "iu"
    if labels.dtype.kind not in kinds or not len(lead) <= labels.ndim <= most or labels.shape[: len(lead)] != lead:
        wanted = f"{'numbers' if regression else 'integers'} for each of {' x '.join(map(str, lead))}"
        raise DataError(f"{source}: y must hold {wanted}, not {labels.dtype} in {labels.shape}")
    tokens = tokens.astype(np.float64).reshape(*tokens.shape[:2], -1)
    padding = np.isnan(tokens).all(axis=2)
    lengths = (~padding).sum(axis=1)
    sound = np.isfinite(tokens).all(axis=2) == (np.arange(tokens.shape[1]) < lengths[:, None])
    if not sound.all() or not lengths.all():
        sample, token = np.argwhere(~sound)[0] if not sound.all() else (int(np.argmin(lengths)), 0)
        raise DataError(f"{source}: sample {sample}, token {token} is not finite, and not padding at the end")
    if regression:
        labels = labels.astype(np.float64).reshape(*lead, -1)
        if not every_step and not np.isfinite(labels).all():
            raise DataError(
                f"{source}: the target of sample {int(np.argwhere(~np.isfinite(labels))[0][0])} is not finite"
            )
    else:
        labels = labels.astype(str).astype(object)
    samples = [row[:length] for row, length in zip(tokens, lengths, strict=True)]
    if not every_step:
        return Samples(samples, list(labels), source)
    answers = [row[:length] for row, length in zip(labels, lengths, strict=True)]
    if regression:
        for sample, row in enumerate(answers):
            if not np.isfinite(row).all():
                raise DataError(f"{source}: a target of sample {sample} is not finite")
    return Samples(samples, answers, source)


def _refuse_columns(settings: DataSettings, kind: str) -> None:
    for key in ("tokens", "labels", "sample"):
        if getattr(settings, key) is not None:
            raise ConfigurationError(f"data.{key} names columns of a table: a {kind} file has none")
