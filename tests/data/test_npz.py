"""A user's own file: read as it is, or one line about what is wrong with it."""

import io

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.errors import DataError


@pytest.fixture
def arrays():
    generator = np.random.default_rng(7)
    return {
        "x_train": generator.normal(size=(12, 5, 2)),
        "y_train": np.arange(12) % 3,
        "x_test": generator.normal(size=(6, 5, 2)),
        "y_test": np.arange(6) % 3,
    }


@pytest.fixture
def load(tmp_path):
    """Give a function that saves arrays as an .npz file and loads it as a data set."""

    def save_and_load(arrays, **options):
        np.savez(tmp_path / "mine.npz", **arrays)
        return load_data(DataSettings(dataset="npz", path=str(tmp_path / "mine.npz"), **options))

    return save_and_load


def test_tokens_and_labels_come_as_they_are(arrays, load):
    data = load(arrays)
    assert (data.task, data.steps, data.token_size, data.num_classes, data.num_answers) == (
        "mine",
        5,
        2,
        3,
        1,
    )
    np.testing.assert_array_equal(data.train.tokens(slice(None)), arrays["x_train"].astype(np.float32))
    np.testing.assert_array_equal(data.test.labels, arrays["y_test"])
    assert data.test.labels.dtype == np.int64


def test_single_numbers_are_tokens_of_size_one_and_labels_may_be_several(arrays, load):
    arrays = arrays | {name: arrays[name][..., 0].astype(np.float32) for name in ("x_train", "x_test")}
    arrays["y_train"], arrays["y_test"] = np.arange(24).reshape(12, 2) % 5, np.zeros((6, 2), np.uint8)
    data = load(arrays)
    assert (data.steps, data.token_size, data.num_classes, data.num_answers) == (5, 1, 5, 2)
    np.testing.assert_array_equal(data.train.tokens(np.array([3]))[0, :, 0], arrays["x_train"][3])


def test_limits_keep_the_first_samples(arrays, load):
    data = load(arrays, train_limit=4, test_limit=100)
    assert (len(data.train), len(data.test)) == (4, 6)
    np.testing.assert_array_equal(data.train.labels, arrays["y_train"][:4])


def _with(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda a: {"x_train": _with(a["x_train"], (9, 1, 0), np.nan)},
            "train sample 9 holds a token that is NaN or",
        ),
        (
            lambda a: {"x_test": _with(a["x_test"], (4, 4, 1), -np.inf)},
            "test sample 4 holds a token that is NaN or",
        ),
        (
            lambda a: {"x_train": _with(a["x_train"], (2, 0, 0), 1e300)},
            "train sample 2 holds a token that is NaN or",
        ),
        (
            lambda a: {"x_train": a["x_train"][:0], "y_train": a["y_train"][:0]},
            "train split holds no samples",
        ),
        (lambda a: {"x_test": a["x_test"][:, :0]}, "test split holds no samples"),
        (lambda a: {"x_test": a["x_test"][:, :4]}, "x_train and x_test differ in shape: (5, 2), (4, 2)"),
        (lambda a: {"y_test": a["y_test"][:, None]}, "y_train and y_test differ in shape"),
        (lambda a: {"y_train": a["y_train"][:-1]}, "11 labels in y_train for 12 samples in x_train"),
        (lambda a: {"y_train": a["y_train"] - 1}, "train split: sample 0 has label -1, outside 0 to"),
        (
            lambda a: {"y_train": a["y_train"].astype(np.uint64) + 2**63},
            "sample 0 has label 9223372036854775808",
        ),
        (lambda a: {"y_train": a["y_train"] * 1.0}, "y_train must hold integers"),
        (lambda a: {"y_train": a["y_train"] * 0, "y_test": a["y_test"] * 0}, "at least two classes"),
        (lambda a: {"x_train": a["x_train"] * 1j}, "x_train must hold real numbers"),
        (
            lambda a: {"x_train": a["x_train"].ravel()},
            "x_train must hold real numbers in shape (N, T) or (N, T, c)",
        ),
        (lambda a: {"x_train": np.array([{"a": 1}] * 12)}, "not a sound .npz file of numbers"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line_that_names_the_file(arrays, load, tmp_path, change, said):
    with pytest.raises(DataError) as caught:
        load(arrays | change(arrays))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'mine.npz'}: ")
    assert said in message
    assert "\n" not in message


def test_an_array_that_is_missing_is_named(arrays, load):
    del arrays["y_test"]
    with pytest.raises(DataError, match="has no array y_test; it needs x_train, y_train, x_test, y_test"):
        load(arrays)


def _bytes_of(save, *arguments, **arrays):
    file = io.BytesIO()
    save(file, *arguments, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a sound .npz file"),
        (b"PK\x03\x04 and no more", "not a sound .npz file"),
        (b"1,2,3\n", "not a sound .npz file"),
        (_bytes_of(np.save, np.zeros(3)), "holds one array"),
        (_bytes_of(np.savez, x_train=np.zeros((50, 50)))[:1000], "not a sound .npz file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_data(DataSettings(dataset="npz", path=str(tmp_path / "mine.npz")))


def test_a_relative_path_starts_from_the_data_folder(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", **arrays)
    assert len(load_data(DataSettings(dataset="npz", path="mine.npz"), tmp_path).train) == 12
    with pytest.raises(DataError, match=r"other/mine.npz: no such file"):
        load_data(DataSettings(dataset="npz", path="mine.npz"), tmp_path / "other")
