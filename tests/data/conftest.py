"""Small data sets in the published layouts, a loopback web server for them, and the real ones if present."""

import gzip
import http.server
import os
import struct
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest


def _idx_bytes(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def write_idx():
    """Give a function that writes a uint8 array as an IDX file, gzipped if the path ends in .gz."""

    def write(path, array):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _idx_bytes(np.asarray(array, np.uint8))
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture
def mnist_arrays():
    """Give 30 train and 20 test images of 28 by 28 random pixels, with labels, by published file name."""
    generator = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("train", 30), ("t10k", 20)):
        arrays[f"{prefix}-images-idx3-ubyte"] = generator.integers(256, size=(count, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = generator.integers(10, size=count, dtype=np.uint8)
    return arrays


@pytest.fixture
def mnist_dir(tmp_path, mnist_arrays, write_idx):
    """Give a data folder that holds a small, well-formed mnist."""
    for name, array in mnist_arrays.items():
        write_idx(tmp_path / "data" / "mnist" / f"{name}.gz", array)
    return tmp_path / "data"


@pytest.fixture
def cifar_arrays():
    """Give the images (N, 32, 32, 3) and labels of two train batches and a test batch, by file name."""
    generator = np.random.default_rng(1)
    return {
        name: (
            generator.integers(256, size=(count, 32, 32, 3), dtype=np.uint8),
            generator.integers(10, size=count, dtype=np.uint8),
        )
        for name, count in (("data_batch_1.bin", 7), ("data_batch_2.bin", 5), ("test_batch.bin", 4))
    }


@pytest.fixture
def cifar_bytes(cifar_arrays):
    """Give the same batches as files' contents."""
    return {
        name: b"".join(
            bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels, strict=True)
        )
        for name, (images, labels) in cifar_arrays.items()
    }


@pytest.fixture
def cifar_dir(tmp_path, cifar_bytes):
    """Give a data folder that holds a small, well-formed cifar10."""
    folder = tmp_path / "data" / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, content in cifar_bytes.items():
        (folder / name).write_bytes(content)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the user's own cache out of every test."""
    monkeypatch.setenv("QLAM_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def web(tmp_path, monkeypatch):
    """Serve a folder over HTTP on the loopback interface; gives (folder, address)."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def real_data():
    """Give the folder of the real data sets: QLAM_TEST_DATA, else shared/data beside the checkout."""
    chosen = os.environ.get("QLAM_TEST_DATA")
    folder = Path(chosen) if chosen else Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data are not in {folder}; QLAM_TEST_DATA names another folder")
    return folder
