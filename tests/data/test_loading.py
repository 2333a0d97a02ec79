"""From settings to sequences, on small files and, where they are, on the real ones."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, list_datasets, load_data
from qlam_qiskit.data.storage import cache_dir
from qlam_qiskit.errors import ConfigurationError, DataError


def test_digits_need_no_files_and_are_always_divided_alike():
    data = load_data(DataSettings(dataset="digits"))
    assert (data.task, len(data.train), len(data.test)) == ("sDigits", 1437, 360)
    assert (data.steps, data.token_size, data.num_classes, data.image_shape) == (64, 1, 10, (8, 8))
    assert data.positions is None
    assert np.bincount(data.test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    again = load_data(DataSettings(dataset="digits"))
    np.testing.assert_array_equal(data.test.values, again.test.values)
    test = {row.tobytes() for row in data.test.values}
    assert len(test) == 360
    assert test.isdisjoint(row.tobytes() for row in data.train.values)


def test_training_pixels_have_mean_0_and_deviation_1():
    tokens = load_data(DataSettings(dataset="digits")).train.tokens(slice(None))
    assert tokens.min() == pytest.approx(-0.3054 / 0.3761, rel=1e-5)
    assert tokens.max() == pytest.approx((1 - 0.3054) / 0.3761, rel=1e-5)
    assert abs(tokens.mean()) < 1e-3
    assert abs(tokens.std() - 1) < 1e-3


@pytest.mark.parametrize(
    ("options", "task", "steps", "token_size"),
    [
        ({"view": "rows"}, "MNIST rows", 28, 28),
        ({"view": "patches", "patch": 7}, "MNIST 7x7 patches", 16, 49),
        ({"permuted": True}, "psMNIST", 784, 1),
    ],
)
def test_views_reach_the_tokens(mnist_dir, mnist_arrays, options, task, steps, token_size):
    data = load_data(DataSettings(dataset="mnist", **options), mnist_dir)
    assert (data.task, data.steps, data.token_size) == (task, steps, token_size)
    tokens = data.test.tokens(np.arange(3))
    assert tokens.shape == (3, steps, token_size)
    first = (mnist_arrays["t10k-images-idx3-ubyte"][0] / 255 - 0.1307) / 0.3081
    corner = data.positions[0] if data.positions is not None else 0
    assert tokens[0, 0, 0] == pytest.approx(first.ravel()[corner], abs=1e-5)


def test_permuted_pixels_are_the_pixels_at_their_positions(mnist_dir):
    plain = load_data(DataSettings(dataset="mnist"), mnist_dir)
    permuted = load_data(DataSettings(dataset="mnist", permuted=True), mnist_dir)
    assert sorted(permuted.positions) == list(range(784))
    for name in ("train", "test"):
        everything = slice(None)
        np.testing.assert_array_equal(
            getattr(permuted, name).tokens(everything),
            getattr(plain, name).tokens(everything)[:, permuted.positions],
        )


def test_limits_keep_the_first_samples(mnist_dir, mnist_arrays):
    data = load_data(DataSettings(dataset="mnist", train_limit=5, test_limit=1000), mnist_dir)
    assert (len(data.train), len(data.test)) == (5, 20)
    np.testing.assert_array_equal(data.train.labels, mnist_arrays["train-labels-idx1-ubyte"][:5])


def test_a_patch_that_does_not_divide_is_a_configuration_error(mnist_dir):
    with pytest.raises(ConfigurationError, match="patch 5 does not divide images of 28 by 28"):
        load_data(DataSettings(dataset="mnist", view="patches", patch=5), mnist_dir)


def test_a_data_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such data folder; `qlam data fetch \w+ --data-dir \S*nowhere`"):
        load_data(DataSettings(dataset="mnist"), tmp_path / "nowhere")


def test_the_list_tells_what_is_there(mnist_dir, cifar_dir, cache):
    listed = {info.name: info for info in list_datasets(mnist_dir)}
    images, made = ["digits", "mnist", "fashion_mnist", "cifar10"], ["copying", "recall", "series"]
    assert list(listed) == [*images, *made, "npz", "file"]
    assert (listed["mnist"].present, listed["mnist"].train, listed["mnist"].test) == (True, 30, 20)
    assert (listed["cifar10"].train, listed["cifar10"].test) == (12, 4)
    assert listed["mnist"].location == str(mnist_dir / "mnist")
    fashion = listed["fashion_mnist"]
    assert (fashion.present, fashion.train, fashion.location) == (False, 60_000, str(cache / "fashion_mnist"))
    assert fashion.problem == "not downloaded"


def test_the_list_names_a_file_that_is_missing(mnist_dir):
    (mnist_dir / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    mnist = {info.name: info for info in list_datasets(mnist_dir)}["mnist"]
    assert (mnist.present, mnist.problem) == (False, f"{mnist_dir / 'mnist'} lacks t10k-labels-idx1-ubyte.gz")


def test_the_list_tells_what_is_damaged(mnist_dir):
    (mnist_dir / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    mnist = {info.name: info for info in list_datasets(mnist_dir)}["mnist"]
    assert not mnist.present
    assert "train-images-idx3-ubyte.gz: cannot be read, or is damaged" in mnist.problem


def test_the_cache_is_the_users_unless_the_environment_names_another(cache, monkeypatch):
    assert cache_dir() == cache
    monkeypatch.delenv("QLAM_DATA")
    assert cache_dir().name == "qlam-qiskit"


@pytest.mark.parametrize(("name", "task"), [("mnist", "sMNIST"), ("fashion_mnist", "sFashion-MNIST")])
def test_the_real_files_pass_their_checksums(real_data, name, task):
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name} in {real_data}")
    data = load_data(DataSettings(dataset=name), real_data, download=False)
    assert (data.task, len(data.train), len(data.test)) == (task, 60_000, 10_000)
    np.testing.assert_array_equal(np.bincount(data.test.labels)[:3], [980, 1135, 1032] if name == "mnist" else 1000)
    tokens = data.train.tokens(slice(20_000))
    assert abs(tokens.mean()) < 0.02
    assert abs(tokens.std() - 1) < 0.02


def test_real_cifar_images_pass(real_data, tmp_path):
    source = real_data / "cifar10"
    if (source / "cifar-10-batches-bin").is_dir():
        data_dir = real_data
    elif (source / "unpack.py").is_file():
        pytest.importorskip("PIL", reason="unpacking the CIFAR-10 subset needs Pillow")
        data_dir = tmp_path / "data"
        subprocess.run([sys.executable, str(source / "unpack.py"), str(data_dir / "cifar10")], check=True)
    else:
        pytest.skip(f"no cifar10 in {real_data}")
    data = load_data(DataSettings(dataset="cifar10"), data_dir, download=False)
    counts = np.bincount(data.train.labels)
    assert len(counts) == 10
    assert counts.min() > 0.9 * counts.max()
    tokens = data.train.tokens(slice(None))
    assert abs(tokens.mean()) < 0.02
    assert abs(tokens.std() - 1) < 0.02
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
