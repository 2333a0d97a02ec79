"""A user's own CSV, Parquet, npz, .ts and saved data sets: the same task from each, or one line with row and column."""

import tracemalloc

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.errors import ConfigurationError, DataError

LENGTHS = [4, 2, 3, 4, 2, 3, 4, 4]
NAMES = ["down", "up"]


def _series():
    rng = np.random.default_rng(3)
    return [3 + 2 * rng.normal(size=(length, 2)).round(3) for length in LENGTHS]


def _labels():
    return [NAMES[k % 2] for k in range(len(LENGTHS))]


def _load(path, **options):
    return load_data(DataSettings(dataset="file", path=str(path), **options))


def _write_steps(path, labels=None, separator=","):
    """Write a row for each step, the samples' rows among one another."""
    rows = [separator.join(["who", "x", "y", "label", "level"])]
    series, labels = _series(), labels or _labels()
    for step in range(max(LENGTHS)):
        for sample, tokens in enumerate(series):
            if step < len(tokens):
                x, y = tokens[step]
                rows.append(separator.join([f"s{sample}", f"{x}", f"{y}", labels[sample], f"{x - y}"]))
    path.write_text("\n".join(rows) + "\n")


def _write_ts(path, series, labels, header="@classLabel true down up"):
    lines = ["# a comment", "@problemName Mine", "@timeStamps false", "@univariate false", "@equalLength false", header]
    lines.append("@data")
    for tokens, label in zip(series, labels, strict=True):
        lines.append(":".join(",".join(map(str, column)) for column in tokens.T) + f":{label}")
    path.write_text("\n".join(lines) + "\n")


def _arrow(path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"tokens": [tokens.tolist() for tokens in _series()], "label": _labels()}
    columns["level"] = [(tokens[:, 0] - tokens[:, 1]).tolist() for tokens in _series()]
    parquet.write_table(pyarrow.table(columns), path)


def _save_dataset(path):
    datasets = pytest.importorskip("datasets")
    columns = {"tokens": [tokens.tolist() for tokens in _series()], "label": [NAMES.index(one) for one in _labels()]}
    kind = {
        "tokens": datasets.List(datasets.List(datasets.Value("float64"))),
        "label": datasets.ClassLabel(names=NAMES),
    }
    datasets.Dataset.from_dict(columns, features=datasets.Features(kind)).save_to_disk(path)


def _make(kind, folder):
    """Write the same samples in one of the formats; returns the path and the options."""
    path = folder / f"mine.{kind}"
    if kind in ("csv", "tsv"):
        _write_steps(path, separator="," if kind == "csv" else "\t")
        return path, {"sample": "who", "tokens": ["x", "y"], "labels": "label"}
    if kind == "parquet":
        _arrow(path)
        return path, {"tokens": "tokens", "labels": "label"}
    if kind == "ts":
        _write_ts(path, _series(), _labels())
        return path, {}
    _save_dataset(path)
    return path, {"tokens": "tokens", "labels": "label"}


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "ts", "saved"])
def test_every_format_gives_the_same_task(kind, tmp_path):
    path, options = _make(kind, tmp_path)
    data = _load(path, test_fraction=0.25, **options)
    series, labels = _series(), _labels()
    assert (data.steps, data.token_size, data.num_classes, data.num_answers) == (4, 2, 2, 1)
    assert data.class_names == ("down", "up") and data.targets is None and not data.every_step
    assert (len(data.train), len(data.test)) == (6, 2)
    every = _load(path, test_fraction=0.25, normalize=False, **options)
    flat = np.concatenate([tokens[: every.train.lengths[k]] for k, tokens in enumerate(every.train.values)])
    seen = []
    for split, normalized in ((every.train, data.train), (every.test, data.test)):
        for k, length in enumerate(split.lengths):
            (found,) = (n for n, one in enumerate(series) if np.allclose(one[0], split.values[k, 0], atol=1e-5))
            np.testing.assert_allclose(split.values[k, :length], series[found], atol=1e-5)
            assert data.class_names[split.labels[k]] == labels[found] and length == LENGTHS[found]
            tokens = normalized.tokens(np.array([k]))[0]
            np.testing.assert_allclose(tokens[:length], (series[found] - flat.mean(0)) / flat.std(0), atol=1e-4)
            assert np.isnan(tokens[length:]).all()
            seen.append(found)
    assert sorted(seen) == list(range(8))


def test_a_row_for_each_sample_may_end_in_blanks(tmp_path):
    (tmp_path / "wide.csv").write_text("t1,t2,t3,kind,goal\n1,2,3,b,0.5\n4,5,,a,1.5\n\n7,,,a,2\n1,1,1,10,3\n")
    options = {"tokens": "t*", "normalize": False, "test_fraction": 0.25}
    data = _load(tmp_path / "wide.csv", labels="kind", **options)
    assert data.class_names == ("10", "a", "b") and data.token_size == 1
    lengths = sorted([*data.train.lengths, *data.test.lengths])
    assert lengths == [1, 2, 3, 3]
    data = _load(tmp_path / "wide.csv", labels=["goal"], task="regression", **options)
    assert data.train.labels.shape == (3, 1, 1) and data.class_names == ("goal",)
    np.testing.assert_allclose([data.train.labels.mean(), data.train.labels.std()], [0, 1], atol=1e-6)
    both = np.concatenate([data.train.labels, data.test.labels])[:, 0, 0] * data.targets.std + data.targets.mean
    np.testing.assert_allclose(sorted(both), [0.5, 1.5, 2, 3], atol=1e-5)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_at_every_step(kind, tmp_path):
    path, options = _make(kind, tmp_path)
    data = _load(path, **(options | {"labels": "level"}), task="regression", every_step=True, normalize=False)
    assert data.every_step and data.num_answers == 4 and data.num_classes == 1
    for split in (data.train, data.test):
        assert split.labels.shape == (len(split), 4, 1)
        for k, length in enumerate(split.lengths):
            found = split.labels[k, :length, 0] * data.targets.std + data.targets.mean
            np.testing.assert_allclose(found, split.values[k, :length, 0] - split.values[k, :length, 1], atol=1e-4)
            assert np.isnan(split.labels[k, length:]).all()


def test_classes_at_every_step_in_lists(tmp_path):
    datasets = pytest.importorskip("datasets")
    columns = {"x": [[1.0, 2.0], [3.0], [0.0, 1.0]], "y": [[1, 0], [0], [1, 1]]}
    kind = {
        "x": datasets.List(datasets.Value("float32")),
        "y": datasets.List(datasets.ClassLabel(names=["high", "low"])),
    }
    saved = datasets.Dataset.from_dict(columns, features=datasets.Features(kind))
    datasets.DatasetDict({"train": saved, "test": saved.select([1])}).save_to_disk(tmp_path / "steps")
    data = _load(tmp_path / "steps", labels="y", every_step=True)
    assert data.class_names == ("high", "low") and data.test.labels.tolist() == [[0, -1]]
    assert data.train.labels.tolist() == [[1, 0], [0, -1], [1, 1]]


def test_classes_at_every_step(tmp_path):
    (tmp_path / "steps.csv").write_text("who,x,y\na,1,low\na,2,high\nb,3,high\nc,0,low\nc,1,low\n")
    data = _load(tmp_path / "steps.csv", sample="who", labels="y", every_step=True, test_fraction=0.34)
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert data.class_names == ("high", "low")
    assert sorted(map(tuple, labels.tolist())) == [(0, -1), (1, 0), (1, 1)]


def test_pairs_of_archive_files_and_regression(tmp_path):
    _write_ts(tmp_path / "Mine_TRAIN.ts", _series(), _labels())
    _write_ts(tmp_path / "Mine_TEST.ts", _series()[:3], _labels()[:3])
    data = _load(tmp_path / "Mine_TRAIN.ts")
    assert (data.task, len(data.train), len(data.test)) == ("Mine", 8, 3)
    _write_ts(tmp_path / "level.ts", _series(), range(8), header="@targetlabel true")
    data = _load(tmp_path / "level.ts", task="regression")
    assert data.train.labels.shape == (6, 1, 1)
    with pytest.raises(ConfigurationError, match="has targets as its header says"):
        _load(tmp_path / "level.ts")


def test_arrays_with_padding_and_numbers(tmp_path):
    x = np.arange(24.0).reshape(4, 3, 2)
    x[1, 2:] = np.nan
    arrays = {"x_train": x, "y_train": np.array([0.5, 1, 2, 3]), "x_test": x[:2], "y_test": np.array([1.0, 2])}
    np.savez(tmp_path / "mine.npz", **arrays)
    data = _load(tmp_path / "mine.npz", task="regression", normalize=False)
    assert data.train.lengths.tolist() == [3, 2, 3, 3] and len(data.test) == 2
    x[0, 1, 1] = np.nan
    np.savez(tmp_path / "mine.npz", **arrays | {"x_train": x})
    with pytest.raises(DataError, match=r"mine\.npz: train: sample 0, token 1 is not finite"):
        _load(tmp_path / "mine.npz", task="regression")


CSV = "t1,t2,label\n1,2,a\n3,4,b\n"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (CSV + "1,x,a\n", {}, r"mine\.csv: line 4, column t2: 'x' is no finite number"),
        (CSV + "\n1,inf,a\n", {}, r"line 5, column t2: 'inf' is no finite number"),
        (CSV + ",2,a\n", {}, r"line 4, column t1: is empty; only a sample's end may be"),
        (CSV + "1,2,\n", {}, r"line 4, column label: is empty"),
        (CSV + "1,2\n", {}, r"line 4 has 2 cells, line 1 names 3 columns"),
        (CSV + '1,"2,a\n', {}, r"line 4: unexpected end of data"),
        ("1,2,3\n4,5,6\n", {}, r"line 1 must name the columns, and holds numbers"),
        ("t1,t1,label\n", {}, r"line 1 must name the columns, each once and none empty"),
        ("t1,t2,label\n1,2,a\n3,4,a\n5,6,a\n", {}, r"all labels are 'a'; at least two classes are needed"),
        (CSV, {"labels": "lable"}, r"data\.labels: .*has no column 'lable'; did you mean label\?"),
        (CSV, {"tokens": "s*"}, r"has no column like 's\*'"),
        (CSV, {"tokens": ["t1", "label"]}, r"column 'label' is named twice"),
        (CSV, {"labels": None}, r"data\.labels: name the column of .*: t1, t2, label"),
        (CSV, {"labels": ["label", "t1"]}, "classification has one column of labels"),
        (CSV, {"task": "regression"}, r"line 2, column label: 'a' is no finite number"),
        (CSV, {"test_path": "nothing.csv"}, r"nothing\.csv: no such file"),
        (CSV, {"every_step": True}, "1 columns for 2 steps; every step needs its own"),
        (
            "w,x,label\n1,2,a\n1,3,b\n2,1,a\n",
            {"sample": "w", "tokens": "x"},
            "line 3, column label: another label than",
        ),
        ("w,x,label\n1,2,a\n1,,a\n2,1,a\n", {"sample": "w", "tokens": "x"}, "line 3, column x: is empty"),
        ("t1,t2,label\n", {}, "need at least 2 samples, not 0"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line_with_its_place(text, options, said, tmp_path):
    (tmp_path / "mine.csv").write_text(text)
    settings = DataSettings(dataset="file", path="mine.csv", **{"labels": "label", **options})
    with pytest.raises((DataError, ConfigurationError), match=said) as caught:
        load_data(settings, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["@data", "1,2:3,x:a"], r"line 2, dimension 2, number 2: 'x' is no finite number"),
        (["@data", "1,?,3:a"], r"line 2, dimension 1, number 2: '\?' is no finite number; missing values"),
        (["@data", "1,2:3:a"], "line 2: its dimensions have different lengths"),
        (["@data", "1,2:a", "1:2:b"], "line 3 has 2 dimensions, line 2 1"),
        (["@data", "1,2"], "line 2: dimensions and a label must stand between colons"),
        (["@classLabel true a b", "@data", "1:c"], "line 3: label 'c' is none of the header's"),
        (["@timestamps true", "@data"], "line 1: series with time stamps are not read"),
        (["1,2:a"], "line 1: the header's lines begin with @"),
        (["@classLabel true a"], "has no line @data"),
        (["@data"], "holds no cases"),
    ],
)
def test_what_is_wrong_with_an_archive_file_is_one_line(lines, said, tmp_path):
    (tmp_path / "mine.ts").write_text("\n".join(lines))
    with pytest.raises(DataError, match=said):
        _load(tmp_path / "mine.ts")


def test_what_is_wrong_with_a_parquet_file_names_row_and_column(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for columns, said in (
        ({"x": [1.0, None, 2.0], "y": [1.0, 2.0, 3.0], "label": ["a", "b", "a"]}, r"row 2, column x: is empty; only"),
        ({"x": [1.0, 1.0], "label": ["a", None]}, "row 2, column label: is empty"),
        ({"x": [[1.0], [2.0, float("nan")]], "label": ["a", "b"]}, "row 2, column x: holds what is no finite number"),
        ({"x": [[[1.0, 2.0]], [[1.0]]], "label": ["a", "b"]}, "column x: tokens have different numbers of numbers"),
        ({"x": ["1", "2"], "label": ["a", "b"]}, "column x holds string, not numbers"),
    ):
        parquet.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
        with pytest.raises(DataError, match=said):
            _load(tmp_path / "mine.parquet", labels="label")
    (tmp_path / "mine.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(DataError, match="no sound Parquet file"):
        _load(tmp_path / "mine.parquet", labels="label")


def test_a_small_parquet_file_of_very_many_rows_or_long_words_takes_no_more_memory_than_it_may(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def repeated(value, kind, count):
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(count, np.int32)), [value]).cast(kind)

    numbers = repeated(1.5, pyarrow.float64(), 500_000)
    parquet.write_table(pyarrow.table({"x": numbers, "label": numbers}), tmp_path / "rows.parquet")
    words = pyarrow.array(["a" * 100] * 5000 + ["b" * 100] * 5000)
    long = pyarrow.concat_arrays([repeated("c" * 2**20, pyarrow.string(), 500), pyarrow.array(["a"])])
    parquet.write_table(pyarrow.table({"x": np.ones(10_000), "label": words}), tmp_path / "words.parquet")
    parquet.write_table(pyarrow.table({"x": np.ones(501), "label": long}), tmp_path / "long.parquet")
    monkeypatch.setattr("qlam_qiskit.machine_memory.machine_memory", lambda: 8_000_000)
    with pytest.raises(DataError, match=r"rows\.parquet: what it unpacks to needs"):
        _load(tmp_path / "rows.parquet", tokens=["x"], labels="label")
    assert len(_load(tmp_path / "words.parquet", tokens=["x"], labels="label").train) == 8000
    tracemalloc.start()
    with pytest.raises(DataError, match="a label has 1,048,576 characters, more than 200"):
        _load(tmp_path / "long.parquet", tokens=["x"], labels="label")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000  # not 500 times a megabyte
    tracemalloc.stop()
    (tmp_path / "long.csv").write_text("x,label\n" + "1,a\n" * 2000 + f"1,{'c' * 10**6}\n")
    with pytest.raises(DataError, match="a label has 1,000,000 characters"):
        _load(tmp_path / "long.csv", tokens=["x"], labels="label")


def test_padding_that_no_machine_holds_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr("qlam_qiskit.machine_memory.machine_memory", lambda: 1_000_000)
    rows = [f"a,{k},x" for k in range(2000)] + [f"s{k},1,y" for k in range(2000)]
    (tmp_path / "mine.csv").write_text("\n".join(["w,t,label", *rows]))
    with pytest.raises(DataError, match="2,001 samples, padded to 2,000 tokens of 1 number, needs"):
        _load(tmp_path / "mine.csv", sample="w", labels="label")


def test_a_missing_reader_names_the_extra(tmp_path, monkeypatch):
    import importlib

    def refuse(name, *rest):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    (tmp_path / "mine.parquet").write_bytes(b"")
    with pytest.raises(
        ConfigurationError, match=r"read by pyarrow, which is not installed: pip install 'qlam-qiskit\[data\]'"
    ):
        _load(tmp_path / "mine.parquet", labels="label")
