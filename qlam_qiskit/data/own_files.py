"""A user's own file as a task: CSV, Parquet, npz, ``.ts`` archives, or a Hugging Face data set saved on disk.

A table has a row for each sample, whose columns are its steps (or lists of them), or a row for each step, with a column
``sample`` that says whose. What is wrong with a file is one line with row and column.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from qlam_qiskit.data.arrow_table import ArrowTable, saved_tables
from qlam_qiskit.data.columns import CsvTable, Table
from qlam_qiskit.data.samples import Goal, Samples, divide, make_task
from qlam_qiskit.data.sequences import SequenceData
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.data.table_samples import samples_of_table
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
        train, goal = samples_of_table(settings, tables[names[0]])
        test = samples_of_table(settings, tables["test"])[0] if "test" in names[1:] else None
        return train, test, goal, path.name
    if path.suffix == ".npz":
        if test_path is not None:
            raise ConfigurationError("data.test_path: an .npz file holds both parts, x_train, y_train, x_test, y_test")
        return (*_of_npz(settings, path), path.stem)
    if path.suffix == ".ts":
        return _of_archive(settings, path, test_path)
    train, goal = samples_of_table(settings, _open_table(path))
    test = None if test_path is None else samples_of_table(settings, _open_table(test_path))[0]
    return train, test, goal, path.stem


def _open_table(path: Path) -> Table:
    if path.suffix in (".csv", ".tsv"):
        return CsvTable(path)
    if path.suffix in (".parquet", ".pq"):
        return ArrowTable.of_parquet(path)
    raise ConfigurationError(f"data.path: {path}: what can be read is {FORMATS}")


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
