"""Circuits in run folders: the same circuit comes back, and no file makes Qiskit do anything else."""

import hashlib
import struct

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import AnnotatedOperation, Gate, InverseModifier, ParameterVector
from qiskit.circuit import library as lib
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qlam_qiskit.errors import CircuitError, RunError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.planning.device_noise import noisy_memory
from qlam_qiskit.rate import Rate
from qlam_qiskit.runs.circuit_file import circuit_bytes, read_circuit, write_circuit
from qlam_qiskit.templates import find_templates, load_template


class Own(Gate):
    """A gate of the user's own, which only its definition explains."""

    def __init__(self, first, second):
        super().__init__("own", 2, [first, second])

    def _define(self):
        self.definition = QuantumCircuit(2)
        self.definition.rx(self.params[0], 0)
        self.definition.cx(0, 1)
        self.definition.ry(2 * self.params[1], 1)


def memory_with(add):
    x, w = ParameterVector("x", 12), ParameterVector("w", 2)
    update = QuantumCircuit(2, metadata={"of": "the template's own"})
    for k in reversed(range(12)):  # x[10] and x[11] come before x[2] by name, and here last comes first
        update.rx(x[k], k % 2)
    update.ry(w[0] * w[1] + x[0].sin(), 0)
    add(update, x, w)
    return MemoryCircuit(update, x[::-1], w)


def unitary(circuit, x, w):
    circuit.append(lib.UnitaryGate(np.diag([1, 1, 1, 1j])), [0, 1])


OPERATIONS = {
    "plain": lambda circuit, x, w: None,
    "of the user's own": lambda circuit, x, w: circuit.append(Own(x[0], w[1]), [1, 0]),
    "controlled": lambda circuit, x, w: circuit.append(Own(x[0], w[1]).definition.to_gate().control(0), [0, 1]),
    "matrix": unitary,
    "diagonal": lambda circuit, x, w: circuit.append(lib.DiagonalGate([1, -1, 1, 1j]), [0, 1]),
    "evolution": lambda circuit, x, w: circuit.append(
        lib.PauliEvolutionGate(SparsePauliOp(["ZZ", "XI"]), w[0]), [0, 1]
    ),
}


def assert_same(one, other):
    assert other.fingerprint == one.fingerprint
    for role in ("inputs", "weights", "query_angles"):
        assert [p.name for p in getattr(other, role)] == [p.name for p in getattr(one, role)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_circuit_comes_back_with_its_parameters_in_order(tmp_path, name):
    memory = memory_with(OPERATIONS[name])
    path = tmp_path / "circuits.qpy"
    assert_same(memory, read_circuit(path, write_circuit(path, memory)))


def test_every_template_comes_back(tmp_path):
    path = tmp_path / "circuits.qpy"
    for name in find_templates():
        memory = load_template(name, 3)
        assert_same(memory, read_circuit(path, write_circuit(path, memory)))


def test_a_memory_with_channels_comes_back_with_its_roles(tmp_path):
    path = tmp_path / "circuits.qpy"
    damped = load_template("damped_line", 3, {"damped": [0, 2], "rates": [0.02, 0.3]})
    for memory in (damped, noisy_memory(damped, FakeManilaV2(), (0, 1, 2, 3, 4))):
        read = read_circuit(path, write_circuit(path, memory))
        assert_same(memory, read)
        assert (read.ancillas, read.emissions) == (memory.ancillas, memory.emissions)
        assert {weight.name: rate for weight, rate in read.rates.items()} == {
            weight.name: Rate(0.02, 0.3) for weight in memory.weights[-2:]
        }


def test_any_qiskit_reads_the_file(tmp_path):
    write_circuit(tmp_path / "circuits.qpy", load_template("line", 2))
    with (tmp_path / "circuits.qpy").open("rb") as file:
        update, query = qpy.load(file)
    assert update.metadata["weights"] == ["theta[0]", "theta[1]", "theta[2]"]
    assert len(query.metadata["query_angles"]) == query.num_parameters == 4


def test_a_circuit_that_qpy_does_not_keep_is_refused():
    def annotated(circuit, x, w):
        circuit.append(AnnotatedOperation(lib.RXGate(x[0]), [InverseModifier()]), [0])

    with pytest.raises(CircuitError, match="not the same after QPY: write annotated operations out"):
        circuit_bytes(memory_with(annotated))


def read(tmp_path, data):
    path = tmp_path / "circuits.qpy"
    path.write_bytes(data)
    with pytest.raises(RunError) as caught:
        read_circuit(path, hashlib.sha256(data).hexdigest())
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_a_changed_or_cut_file_is_damaged(tmp_path):
    path = tmp_path / "circuits.qpy"
    digest = write_circuit(path, load_template("line", 2))
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole[: len(whole) // 2], whole.replace(b"RXGate", b"RYGate")):
        path.write_bytes(data)
        for known in (digest, None):
            with pytest.raises(RunError, match=r"circuits\.qpy: damaged: its contents do not match their digest"):
                read_circuit(path, known)
    with pytest.raises(RunError, match="cannot be read"):
        read_circuit(tmp_path / "none", digest)


@pytest.mark.parametrize("data", [b"", b"QISKIT", b"\x00" * 100, b"QISKIT" + bytes(range(200))])
def test_a_file_made_to_look_right_is_one_line(tmp_path, data):
    assert "not a memory circuit" in read(tmp_path, data)


def test_older_versions_with_expressions_as_text_are_refused(tmp_path):
    data = bytearray(circuit_bytes(load_template("line", 2)))
    for version in (*range(1, 16), 17, 255):
        data[6] = version
        assert "QPY of version 16" in read(tmp_path, bytes(data))


def test_a_circuit_of_billions_of_qubits_takes_no_memory(tmp_path):
    data = circuit_bytes(load_template("line", 2))
    (start,) = struct.unpack_from("!Q", data, 20)
    huge = data[: start + 5] + struct.pack("!I", 2**31) + data[start + 9 :]
    assert "a circuit of 2,147,483,648 qubits" in read(tmp_path, huge)


@pytest.mark.parametrize("name", ["PhaseOracle", "Permutation", "RealAmplitudes", "QuantumCircuit", "PhaseOracleGate"])
def test_what_is_no_gate_is_not_called(tmp_path, monkeypatch, name):
    called = []
    for module in (lib, __import__("qiskit.circuit", fromlist=["circuit"])):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, type(name, (), {"__init__": lambda *given, **named: called.append(name)}))
    data = circuit_bytes(memory_with(unitary))
    place = data.index(b"UnitaryGate")
    start = place - 33
    assert struct.unpack_from("!H", data, start) == (len("UnitaryGate"),)
    named = name.encode()
    (second,) = struct.unpack_from("!Q", data, 28)
    data = data[:28] + struct.pack("!Q", second + len(named) - 11) + data[36:]
    data = data[:start] + struct.pack("!H", len(named)) + data[start + 2 : place] + named + data[place + 11 :]
    assert f"{name} is not an operation" in read(tmp_path, data)
    assert called == []
