"""Files beside the ledger: what is written comes back the same, damaged files are named, strays are swept."""

import os
import shutil
import time

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Operator

from qlam_qiskit.jobs import JobError, files


@pytest.fixture
def circuit():
    circuit = QuantumCircuit(2)
    angles = ParameterVector("x", 12)
    for index, angle in enumerate(angles):
        circuit.ry(angle, index % 2)
    return circuit


def _result(shape=(2,), shots=5):
    bits = BitArray(np.random.default_rng(0).integers(0, 4, (*shape, shots, 1), dtype=np.uint8), 2)
    return PrimitiveResult([SamplerPubResult(DataBin(meas=bits, shape=shape), {"shots": shots})], {"version": 2})


def test_inputs_come_back_as_they_were(circuit, tmp_path):
    measured = circuit.measure_all(inplace=False)
    rows = np.random.default_rng(0).normal(size=(3, 2, 12))
    fixed = QuantumCircuit(1, 1)
    fixed.measure(0, 0)
    pubs = [
        SamplerPub.coerce((measured, rows, 100)),
        SamplerPub.coerce((measured, rows[0], 100)),
        SamplerPub(fixed, BindingsArray(shape=(4,)), 7),
        EstimatorPub.coerce((circuit, [["ZZ"], ["IZ"]], rows[0], 0.1)),
    ]
    files.write_inputs(tmp_path, "s", [pubs, pubs[:1]])
    back = files.read_inputs(tmp_path, "s", 0)
    assert [pub.shape for pub in back] == [pub.shape for pub in pubs]
    assert [getattr(pub, "shots", None) for pub in back] == [100, 100, 7, None]
    assert back[3].precision == 0.1 and back[3].observables.tolist() == pubs[3].observables.tolist()
    assert back[0].circuit is back[1].circuit  # stored once
    assert np.array_equal(back[3].parameter_values.as_array(), rows[0])
    for ours, theirs, place in ((back[0], pubs[0], (1, 0)), (back[1], pubs[1], (1,))):
        bound = [pub.parameter_values.bind(pub.circuit, place) for pub in (ours, theirs)]
        plain = [one.remove_final_measurements(inplace=False) for one in bound]
        assert Operator(plain[0]) == Operator(plain[1])
    assert len(files.read_inputs(tmp_path, "s", 1)) == 1


def test_results_come_back_as_they_were(tmp_path, circuit):
    files.write_inputs(tmp_path, "s", [[SamplerPub.coerce((circuit, np.zeros(12), 5))]])
    result = _result()
    assert not files.has_result(tmp_path, "s", 0, "t")
    files.write_result(tmp_path, "s", 0, result, {"tag": "t", "remote_id": "d1"})
    assert files.has_result(tmp_path, "s", 0, "t") and not files.has_result(tmp_path, "s", 0, "another")
    back, about = files.read_result(tmp_path, "s", 0)
    assert back[0].data.meas == result[0].data.meas and back[0].metadata == {"shots": 5}
    assert about == {"tag": "t", "remote_id": "d1"}


def test_nothing_that_is_stored_is_a_pickle(tmp_path, circuit):
    files.write_inputs(tmp_path, "s", [[SamplerPub.coerce((circuit, np.zeros(12), 5))]])
    path = files.write_result(tmp_path, "s", 0, _result(), {"tag": "t"})
    for name in ("inputs.npz", "result.npz"):
        with np.load(path.with_name(name), allow_pickle=False) as stored:
            assert all(stored[key].dtype != object for key in stored.files)


@pytest.mark.parametrize("name", ["circuits.qpy", "inputs.npz"])
@pytest.mark.parametrize("damage", ["missing", "short", "garbage"])
def test_damaged_inputs_are_named(tmp_path, circuit, name, damage):
    files.write_inputs(tmp_path, "s", [[SamplerPub.coerce((circuit, np.zeros(12), 5))]])
    path = files.job_folder(tmp_path, "s", 0) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[: len(data) // 2] if damage == "short" else b"\x00" * 100)
    with pytest.raises(JobError, match="inputs are missing or damaged"):
        files.read_inputs(tmp_path, "s", 0)


def _damaged(data):
    """Yield the data cut at every 64th byte, and with single bytes flipped everywhere."""
    yield from (data[:end] for end in range(0, len(data), 64))
    rng = np.random.default_rng(0)
    for place in rng.permutation(len(data))[:300]:
        yield data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]


@pytest.mark.parametrize("name", ["circuits.qpy", "inputs.npz", "result.npz"])
def test_whatever_happens_to_a_file_is_one_line_that_names_it(tmp_path, circuit, name):
    """Read rightly or refused: zip, numpy and QPY raise a dozen kinds of errors for it."""
    pubs = [SamplerPub.coerce((circuit.measure_all(inplace=False), np.ones((2, 12)), 5))]
    files.write_inputs(tmp_path, "s", [pubs])
    path = files.write_result(tmp_path, "s", 0, _result(), {"tag": "t"}).with_name(name)
    data, refused = path.read_bytes(), 0
    for damaged in _damaged(data):
        path.write_bytes(damaged)
        try:
            result, _ = files.read_result(tmp_path, "s", 0)
            back = files.read_inputs(tmp_path, "s", 0)
            expected, _ = files.read_expected(tmp_path, "s", 0)
        except JobError as error:
            refused += 1
            assert f"{name}: missing or damaged (" in str(error) and "\n" not in str(error), damaged
            assert "run `qlam jobs fetch s`" in str(error) or "put a copy of the file back" in str(error)
        else:  # a flipped bit in what nobody reads, such as the time of day in a zip file
            assert result[0].data.meas == _result()[0].data.meas and expected == files.expect(pubs)
            assert np.array_equal(back[0].parameter_values.as_array(), pubs[0].parameter_values.as_array())
    assert refused > len(data) // 64 + 200


@pytest.mark.parametrize("damage", ["short", "garbage"])
def test_damaged_results_are_named_with_the_remedy(tmp_path, circuit, damage):
    files.write_inputs(tmp_path, "s", [[SamplerPub.coerce((circuit, np.zeros(12), 5))]])
    path = files.write_result(tmp_path, "s", 0, _result(), {"tag": "t"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if damage == "short" else b"\x00" * 100)
    with pytest.raises(JobError, match=r"missing or damaged .*; run `qlam jobs fetch s`, which asks"):
        files.read_result(tmp_path, "s", 0)
    assert not files.has_result(tmp_path, "s", 0, "t")


def test_only_what_nobody_will_come_back_for_is_swept(tmp_path):
    folders = tmp_path / "submissions"
    names = {
        "kept": True,
        "young-stray": True,
        f".preparing-{os.getpid()}-s": True,
        ".preparing-999999999-s": False,
        "old-stray": False,
    }
    for name in names:
        (folders / name).mkdir(parents=True)
    for name in ("old-stray", "kept"):
        os.utime(folders / name, (time.time() - 100_000,) * 2)
    files.sweep(tmp_path, {"kept"})
    assert {path.name for path in folders.iterdir()} == {name for name, stays in names.items() if stays}
    shutil.rmtree(folders)
    files.sweep(tmp_path, set())
