"""Sizes that no machine has are refused before memory is asked for: in settings, headers and packed files."""

import gzip
import io
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
from small_data import write_small_data

from qlam_qiskit.cli.compare import _parse_seeds
from qlam_qiskit.data import load_data
from qlam_qiskit.data.catalogue import IMAGE_SETS
from qlam_qiskit.data.cifar import read_cifar_split
from qlam_qiskit.data.idx import read_idx
from qlam_qiskit.data.npz import load_npz
from qlam_qiskit.errors import ConfigurationError, DataError
from qlam_qiskit.machine_memory import check_memory, machine_memory
from qlam_qiskit.runs.building import build_model
from qlam_qiskit.runs.experiments import load_experiment
from qlam_qiskit.templates import load_template

LARGE = 10**18
IMAGES = IMAGE_SETS["mnist"].files[0]


@pytest.mark.parametrize(
    "assignment",
    [
        *(
            f"{key}={LARGE}"
            for key in (
                "model.circuit.qubits",
                "model.registers",
                "model.layers",
                "model.queries.count",
                "model.embedding.width",
                "model.embedding.kernel",
                "model.readout.times",
                "model.noise.shots",
                "training.epochs",
                "training.batch_size",
                "data.train_limit",
                "seed",
            )
        ),
        "model.queries.count=100000000",
        "model.layers=100000",
        *(
            f"model={{kind: {kind}}}"
            for kind in (
                f"rnn, width: {LARGE}",
                f"lstm, layers: {LARGE}",
                f"transformer, heads: {LARGE}, width: {LARGE}",
                f"transformer, feedforward: {LARGE}",
                f"s4d, state: {LARGE}",
            )
        ),
        f"data={{dataset: copying, delay: {LARGE}}}",
        f"data={{dataset: copying, alphabet: {LARGE}}}",
        f"data={{dataset: recall, keys: {LARGE}, pairs: {LARGE}}}",
        f"data={{dataset: recall, train_samples: {LARGE}}}",
    ],
)
def test_a_size_beyond_all_use_is_refused_with_the_largest_one(assignment):
    with pytest.raises(ConfigurationError, match="Input should be less than") as error:
        load_experiment("digits", (assignment,))
    assert assignment.split("=")[0].split(".")[0] in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        {"dataset": "copying", "delay": 1_000_000, "train_samples": 1_000_000},
        {"dataset": "recall", "train_samples": 100_000_000, "delay": 1000},
    ],
)
def test_a_task_that_does_not_fit_the_memory_is_refused(data):
    settings = load_experiment("digits", (f"data={data}",)).data
    with pytest.raises(ConfigurationError, match=r"data set \w+ of .* needs .* GiB of memory, and this machine has"):
        load_data(settings)


@pytest.mark.parametrize(
    "model",
    [
        "{queries: {count: 1024}, registers: 256, circuit: {qubits: 16}}",
        "{layers: 16, queries: {count: 1024}, registers: 256, circuit: {qubits: 12}}",
        "{embedding: {width: 16384, kernel: 65536}, readout: {times: 64}, layers: 2, circuit: {qubits: 12}}",
        "{kind: lstm, width: 16384, layers: 64}",
        "{kind: transformer, width: 16384, feedforward: 64, layers: 64}",
        "{kind: s4d, width: 16384, state: 65536, layers: 64}",
    ],
)
def test_a_model_that_does_not_fit_the_memory_is_refused(model):
    experiment = load_experiment("digits", (f"model={model}",))
    data = load_data(experiment.data)
    began = time.process_time()
    with pytest.raises(ConfigurationError, match=r"a model of these sizes .* needs .* of memory"):
        build_model(experiment.model, data, None, 0)
    assert time.process_time() - began < 1


def test_the_limit_of_the_machine_is_told():
    check_memory(machine_memory(), "all of it")
    with pytest.raises(DataError, match=r"^more needs .* GiB of memory, and this machine has .* GiB$"):
        check_memory(machine_memory() + 1, "more", DataError)


@pytest.mark.parametrize("name", ["brickwork", "ising", "reuploading"])
def test_layers_of_a_template_are_bounded(name):
    for layers in (LARGE, 100_000, -1, "2", True):
        with pytest.raises(ConfigurationError, match="option layers: a whole number from 0 to 100"):
            load_template(name, 3, {"layers": layers})


def test_seeds_of_the_command_line_are_bounded():
    assert _parse_seeds("0-2,5") == [0, 1, 2, 5]
    with pytest.raises(ConfigurationError, match="more than 1,000 seeds"):
        _parse_seeds("0-1000000000000")


@pytest.mark.parametrize(
    "arguments",
    [
        ("circuits", "export", "ring", "--qubits", LARGE),
        ("circuits", "export", "ring", "--steps", LARGE),
        ("circuits", "draw", "ring", "--steps", LARGE),
        ("evaluate", "run", "--shots", LARGE),
        ("bench", "--batch", LARGE),
    ],
)
def test_sizes_of_the_command_line_are_bounded(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "is not in the range" in err


def _idx(shape, payload=b""):
    return struct.pack(">4I", 0x803, *shape) + payload


def test_a_packed_file_is_unpacked_no_further_than_its_header_says(tmp_path):
    packed = tmp_path / "images.gz"
    packer = zlib.compressobj(9, wbits=31)
    chunk = bytes(2**20)
    with packed.open("wb") as file:
        file.write(packer.compress(_idx((2, 28, 28))))
        for _ in range(1024):  # a gigabyte in a megabyte
            file.write(packer.compress(chunk))
        file.write(packer.flush())
    with pytest.raises(DataError, match="its header promises 1568 bytes, 1569 follow"):
        read_idx(packed, IMAGES)


@pytest.mark.parametrize("packed", [True, False])
def test_a_header_that_promises_more_than_the_file_can_hold_is_refused(tmp_path, packed):
    path = tmp_path / ("images.gz" if packed else "images")
    content = _idx((2**32 - 1, 2**32 - 1, 2**32 - 1), bytes(100))
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=r"damaged or truncated: its header promises \d{29} bytes, its size is"):
        read_idx(path, IMAGES)


def _npz(path, header_shape, size=None, **zip_options):
    """Write an archive whose x_train promises another shape than it holds, or unpacks to ``size`` zeros."""
    write_small_data(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    with zipfile.ZipFile(path, "w", **zip_options) as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, array)
            content = stream.getvalue()
            if name == "x_train":
                stream = io.BytesIO()
                described = {"descr": "<f4", "fortran_order": False, "shape": header_shape}
                np.lib.format.write_array_header_1_0(stream, described)
                content = stream.getvalue() + (array.tobytes() if size is None else bytes(size))
            archive.writestr(f"{name}.npy", content)


@pytest.mark.parametrize("shape", [(5 * 10**12,), (-1, 3), (2**63, 2**63), (0,), (3, 3)])
def test_an_array_whose_header_promises_another_size_is_refused(tmp_path, shape):
    path = tmp_path / "own.npz"
    _npz(path, shape)
    with pytest.raises(DataError, match=r"not a sound \.npz file of numbers"):
        load_npz(path)


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "own.npz"
    _npz(path, (2**18, 64), size=2**26, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**18
    monkeypatch.setattr("qlam_qiskit.machine_memory.machine_memory", lambda: 2**25)
    with pytest.raises(DataError, match=r"what it unpacks to needs 0\.1 GiB of memory"):
        load_npz(path)


def test_a_batch_file_of_terabytes_is_refused(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    with path.open("wb") as file:
        file.truncate(3073 * 10**9)  # sparse: it takes no room
    with pytest.raises(DataError, match="GiB of memory, and this machine has"):
        read_cifar_split(tmp_path, "train")
