"""CIFAR-10's binary batches: what is read, and what is refused."""

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.errors import DataError

FOLDER = "cifar10/cifar-10-batches-bin"


def _load(data_dir, **options):
    return load_data(DataSettings(dataset="cifar10", **options), data_dir, download=False)


def test_batches_of_any_size_are_read_in_order_with_channels_last(cifar_dir, cifar_arrays):
    data = _load(cifar_dir)
    images = np.concatenate([cifar_arrays["data_batch_1.bin"][0], cifar_arrays["data_batch_2.bin"][0]])
    labels = np.concatenate([cifar_arrays["data_batch_1.bin"][1], cifar_arrays["data_batch_2.bin"][1]])
    np.testing.assert_array_equal(data.train.values, images.reshape(12, 1024, 3))
    np.testing.assert_array_equal(data.train.labels, labels)
    np.testing.assert_array_equal(data.test.values, cifar_arrays["test_batch.bin"][0].reshape(4, 1024, 3))
    assert (data.task, data.steps, data.token_size, data.image_shape) == ("sCIFAR-10", 1024, 3, (32, 32, 3))
    assert data.class_names[3] == "cat"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-1], "damaged or truncated: 15364 bytes are not a multiple of 3073"),
        (lambda content: b"", "holds no samples"),
        (lambda content: content[:3073] + b"\x0b" + content[3074:], "sample 1 has label 11, outside 0 to 9"),
    ],
)
def test_a_damaged_batch_is_one_line_that_names_it(cifar_dir, damage, said):
    path = cifar_dir / FOLDER / "data_batch_2.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        _load(cifar_dir)
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(("pattern", "missing"), [("data*", "data_batch_1.bin"), ("test*", "test_batch.bin")])
def test_a_missing_batch_is_named(cifar_dir, pattern, missing):
    for path in (cifar_dir / FOLDER).glob(pattern):
        path.unlink()
    with pytest.raises(DataError, match=f"{missing} missing"):
        _load(cifar_dir)
