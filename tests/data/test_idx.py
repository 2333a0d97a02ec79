"""IDX files: small ones are read, damaged ones named."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.errors import DataError

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


def _load(data_dir):
    return load_data(DataSettings(dataset="mnist"), data_dir, download=False)


def test_small_files_are_read_gzipped_or_unpacked(mnist_dir, mnist_arrays, write_idx):
    packed = mnist_dir / "mnist" / f"{TRAIN_IMAGES}.gz"
    packed.unlink()
    write_idx(packed.with_suffix(""), mnist_arrays[TRAIN_IMAGES])
    data = _load(mnist_dir)
    np.testing.assert_array_equal(data.train.values, mnist_arrays[TRAIN_IMAGES].reshape(30, 784, 1))
    np.testing.assert_array_equal(data.train.labels, mnist_arrays[TRAIN_LABELS])
    np.testing.assert_array_equal(data.test.labels, mnist_arrays[TEST_LABELS])
    assert data.train.labels.dtype == np.int64


def _cut_packed(content):
    return content[: len(content) // 2]


def _cut_payload(content):
    return gzip.compress(gzip.decompress(content)[:-1])


def _lengthen_payload(content):
    return gzip.compress(gzip.decompress(content) + b"\0")


def _cut_header(content):
    return gzip.compress(gzip.decompress(content)[:6])


def _change_magic(content):
    return gzip.compress(b"\0\0\x0d\x03" + gzip.decompress(content)[4:])


def _damage_stream(content):
    return content[:40] + bytes(byte ^ 0xFF for byte in content[40:80]) + content[80:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut_packed, "damaged"),
        (_damage_stream, "damaged"),
        (_cut_payload, "its header promises 23520 bytes, 23519 follow"),
        (_lengthen_payload, "its header promises 23520 bytes, 23521 follow"),
        (_cut_header, "less than an IDX header"),
        (_change_magic, "not an IDX file of images: starts with 0x00000d03, expected 0x00000803"),
        (lambda content: b"", "less than an IDX header"),
        (lambda content: b"<html>moved</html>", "Not a gzipped file"),
        (lambda content: gzip.compress(struct.pack(">4I", 0x803, 0, 28, 28)), "holds no samples"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(mnist_dir, damage, said):
    path = mnist_dir / "mnist" / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        _load(mnist_dir)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


def test_labels_in_the_place_of_images_are_recognized(mnist_dir, mnist_arrays, write_idx):
    write_idx(mnist_dir / "mnist" / f"{TRAIN_IMAGES}.gz", mnist_arrays[TRAIN_LABELS])
    with pytest.raises(DataError, match="not an IDX file of images"):
        _load(mnist_dir)


def test_labels_must_be_as_many_as_images(mnist_dir, mnist_arrays, write_idx):
    path = write_idx(mnist_dir / "mnist" / f"{TRAIN_LABELS}.gz", mnist_arrays[TRAIN_LABELS][:-1])
    with pytest.raises(DataError, match="29 labels for 30 images") as caught:
        _load(mnist_dir)
    assert str(path) in str(caught.value)


def test_labels_must_be_classes(mnist_dir, mnist_arrays, write_idx):
    labels = mnist_arrays[TEST_LABELS].copy()
    labels[4] = 10
    path = write_idx(mnist_dir / "mnist" / f"{TEST_LABELS}.gz", labels)
    with pytest.raises(DataError, match="sample 4 has label 10, outside 0 to 9") as caught:
        _load(mnist_dir)
    assert str(path) in str(caught.value)


def test_train_and_test_images_must_have_one_size(mnist_dir, write_idx):
    write_idx(mnist_dir / "mnist" / "t10k-images-idx3-ubyte.gz", np.zeros((20, 8, 8)))
    with pytest.raises(DataError, match="train and test images differ in size: 28x28 and 8x8"):
        _load(mnist_dir)


def test_a_missing_file_is_named_with_the_way_to_get_it(mnist_dir):
    (mnist_dir / "mnist" / f"{TEST_LABELS}.gz").unlink()
    with pytest.raises(DataError, match=rf"{TEST_LABELS}.gz missing; `qlam data fetch mnist --data-dir DIR`"):
        _load(mnist_dir)


def test_a_file_as_long_as_the_published_one_must_have_its_checksum(mnist_dir, write_idx):
    labels = np.arange(10_000) % 10
    path = write_idx(mnist_dir / "mnist" / f"{TEST_LABELS}.gz", labels)
    checksum = hashlib.md5(gzip.decompress(path.read_bytes()), usedforsecurity=False).hexdigest()
    with pytest.raises(DataError) as caught:
        _load(mnist_dir)
    assert str(caught.value) == (
        f"{path}: wrong checksum: MD5 {checksum} unpacked, the published file has 27ae3e4e09519cfbb04c329615203637"
    )
