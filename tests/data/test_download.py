"""Downloads from a loopback server: whole files under their names, or nothing and one line."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import pytest

from qlam_qiskit.data import DataSettings, fetch_dataset, load_data
from qlam_qiskit.data.catalogue import IMAGE_SETS
from qlam_qiskit.errors import ConfigurationError, DataError


def _md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def published_mnist(web, mnist_arrays, write_idx, monkeypatch):
    """Publish the small mnist on the loopback server, under checksums of its own; gives the served folder."""
    folder, address = web
    files = []
    for file in IMAGE_SETS["mnist"].files:
        packed = write_idx(folder / f"{file.name}.gz", mnist_arrays[file.name]).read_bytes()
        unpacked = gzip.decompress(packed)
        files.append(replace(file, size=len(unpacked), md5=_md5(unpacked), download_md5=_md5(packed)))
    published = replace(IMAGE_SETS["mnist"], files=tuple(files), mirrors=(address,))
    monkeypatch.setitem(IMAGE_SETS, "mnist", published)
    return folder


@pytest.fixture
def published_cifar(web, cifar_bytes, monkeypatch):
    """Publish the small cifar10 likewise, as an archive with other files in it; gives the archive's path."""
    folder, address = web
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"test_batch.bin": b"", "readme.html": b"<html>", **cifar_bytes}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    published = replace(IMAGE_SETS["cifar10"], archive=(path.name, _md5(path.read_bytes())), mirrors=(address,))
    monkeypatch.setitem(IMAGE_SETS, "cifar10", published)
    return path


def test_a_data_set_that_is_not_there_is_downloaded_into_the_cache(published_mnist, cache, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    data = load_data(DataSettings(dataset="mnist"), tmp_path / "empty")
    assert (len(data.train), len(data.test)) == (30, 20)
    assert capsys.readouterr() == ("", "")  # bars are for terminals
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        path.name for path in published_mnist.iterdir()
    )
    for path in published_mnist.iterdir():
        path.unlink()
    assert len(load_data(DataSettings(dataset="mnist")).train) == 30


def test_fetch_downloads_only_what_is_missing_or_damaged(published_mnist, tmp_path):
    folder = tmp_path / "data" / "mnist"
    first = fetch_dataset("mnist", tmp_path / "data")
    assert (first.folder, len(first.downloaded), first.kept) == (folder, 4, ())
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    damaged = folder / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    second = fetch_dataset("mnist", tmp_path / "data")
    assert second.downloaded == ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    assert second.kept == ("train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz")
    assert len(load_data(DataSettings(dataset="mnist"), tmp_path / "data", download=False).train) == 30


def test_fetch_leaves_a_users_smaller_files_alone(published_mnist, tmp_path, mnist_arrays, write_idx):
    name = "train-labels-idx1-ubyte"
    own = write_idx(tmp_path / "data" / "mnist" / name, mnist_arrays[name][:10])
    before = own.read_bytes()
    assert fetch_dataset("mnist", tmp_path / "data").kept == (name,)
    assert own.read_bytes() == before


def test_a_wrong_checksum_leaves_nothing_behind(published_mnist, tmp_path):
    served = published_mnist / "train-labels-idx1-ubyte.gz"
    served.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError) as caught:
        fetch_dataset("mnist", tmp_path / "data")
    message = str(caught.value)
    assert message.startswith("mnist: train-labels-idx1-ubyte.gz could not be downloaded from http://127.0.0.1")
    assert "wrong checksum" in message
    assert "\n" not in message
    assert [path.name for path in (tmp_path / "data" / "mnist").iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_a_damaged_file_stays_when_its_replacement_is_wrong(published_mnist, tmp_path):
    fetch_dataset("mnist", tmp_path / "data")
    damaged = tmp_path / "data" / "mnist" / "train-labels-idx1-ubyte.gz"
    damaged.write_bytes(b"damaged")
    (published_mnist / damaged.name).write_bytes(b"wrong as well")
    with pytest.raises(DataError, match="wrong checksum"):
        fetch_dataset("mnist", tmp_path / "data")
    assert damaged.read_bytes() == b"damaged"
    assert len(list(damaged.parent.iterdir())) == 4


def test_the_next_mirror_is_tried(published_mnist, monkeypatch, tmp_path):
    [address] = IMAGE_SETS["mnist"].mirrors
    mirrors = (f"{address}gone/", address)
    monkeypatch.setitem(IMAGE_SETS, "mnist", replace(IMAGE_SETS["mnist"], mirrors=mirrors))
    assert len(fetch_dataset("mnist", tmp_path).downloaded) == 4


def test_a_file_that_the_server_lacks_is_one_line(published_mnist, tmp_path):
    (published_mnist / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz \(HTTP status 404\)$"):
        fetch_dataset("mnist", tmp_path)


def test_without_a_network_one_line_says_where_it_looked_and_how_to_get_it(
    published_mnist, cache, tmp_path, monkeypatch
):
    nowhere = ("http://127.0.0.1:9/",)  # the discard port: nothing listens
    monkeypatch.setitem(IMAGE_SETS, "mnist", replace(IMAGE_SETS["mnist"], mirrors=nowhere))
    (tmp_path / "data").mkdir()
    for download in (True, False):
        with pytest.raises(DataError) as caught:
            load_data(DataSettings(dataset="mnist"), tmp_path / "data", download=download)
        message = str(caught.value)
        assert f"mnist is not in {tmp_path / 'data' / 'mnist'} nor in {cache / 'mnist'}" in message
        assert "`qlam data fetch mnist --data-dir DIR`" in message
        assert ("no connection" in message) == download
        assert "\n" not in message


def test_the_cifar_archive_becomes_its_batches_alone(published_cifar, cache):
    data = load_data(DataSettings(dataset="cifar10"))
    assert (len(data.train), len(data.test)) == (12, 4)
    folder = cache / "cifar10" / "cifar-10-batches-bin"
    assert sorted(path.name for path in folder.iterdir()) == [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "test_batch.bin",
    ]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    again = fetch_dataset("cifar10")
    assert (again.downloaded, len(again.kept)) == ((), 3)


def test_a_wrong_cifar_archive_leaves_nothing_behind(published_cifar, cache):
    published_cifar.write_bytes(published_cifar.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz could not be downloaded .*wrong checksum"):
        load_data(DataSettings(dataset="cifar10"))
    assert [path.name for path in (cache / "cifar10").rglob("*")] == ["cifar-10-batches-bin"]


def test_a_folder_that_cannot_be_made_is_one_line(published_mnist, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match=r"data/mnist: cannot be written: Not a directory$"):
        fetch_dataset("mnist", tmp_path / "data")


@pytest.mark.parametrize("name", ["digits", "copying", "minst"])
def test_only_published_files_are_fetched(name):
    with pytest.raises(ConfigurationError, match="not a data set to download; these are: mnist, fashion_mnist"):
        fetch_dataset(name)
