"""Opened backends: every kind runs circuits, is exact where it can be, and repeats itself under a seed."""

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, hellinger_fidelity
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2, FakeTorino

from qlam_qiskit.backends import load_registry, make_spec, open_backend
from qlam_qiskit.cli import qlam
from qlam_qiskit.errors import BackendError, ConfigurationError

BUILT_IN = [name for name, spec in load_registry().backends.items() if spec.kind != "exact"]


def _spec(**values):
    return make_spec("here", values, "test")


def _rotations() -> QuantumCircuit:
    angles = ParameterVector("a", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(angles[0], 0)
    circuit.cx(0, 1)
    circuit.rz(angles[1], 1)
    return circuit


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_backend_samples_and_estimates(name):
    angles = [[0.0, 0.3], [np.pi, 0.3]]
    with open_backend(load_registry().spec(name), shots=400, seed=1) as opened:
        measured = opened.isa(_rotations().measure_all(inplace=False))
        counts = opened.sampler().run([(measured, angles)]).result()[0].data.meas
        bare = opened.isa(_rotations())
        observable = SparsePauliOp("ZI").apply_layout(bare.layout)
        values = opened.estimator().run([(bare, observable, angles)]).result()[0].data.evs
    assert counts.num_shots == 400
    assert counts.get_counts(0).get("00", 0) > 360
    assert counts.get_counts(1).get("11", 0) > 360
    np.testing.assert_allclose(values, [1, -1], atol=0.2)


def test_the_exact_engine_runs_no_circuits():
    with pytest.raises(BackendError, match="exact engine"):
        open_backend(load_registry().spec("exact"))


def test_exact_expectation_values_are_equal_for_equal_rows_whatever_precision_is_asked_for():
    opened = open_backend(_spec(kind="aer"))
    assert opened.shots is None
    rows = np.tile([0.7, 0.2], (5, 1))
    result = opened.estimator().run([(_rotations(), "IZ", rows)], precision=0.1).result()[0].data
    np.testing.assert_array_equal(result.evs, np.full(5, result.evs[0]))
    np.testing.assert_allclose(result.evs, np.cos(0.7), atol=1e-12)
    np.testing.assert_array_equal(result.stds, 0)


@pytest.mark.parametrize(
    "settings", [{"kind": "aer", "shots": 50}, {"kind": "fake", "name": "FakeManilaV2", "shots": 50}]
)
def test_a_seed_repeats_a_sequence_of_runs_whose_members_differ(settings):
    def two_runs(seed):
        opened = open_backend(_spec(**settings), seed=seed)
        circuit = opened.isa(_bell())
        runs = [opened.sampler().run([circuit]).result()[0].data.meas.get_bitstrings() for _ in range(2)]
        evs = float(
            opened.estimator()
            .run([(opened.isa(_bell().remove_final_measurements(inplace=False)), _xi(opened))])
            .result()[0]
            .data.evs
        )
        return (*runs, evs)

    def _xi(opened):
        return SparsePauliOp("XI").apply_layout(opened.isa(_bell().remove_final_measurements(inplace=False)).layout)

    first, second, evs = two_runs(7)
    assert (first, second, evs) == two_runs(7)
    assert first != second
    assert (first, second, evs) != two_runs(8)


def test_the_seed_of_the_entry_counts_unless_one_is_given():
    def bits(seed=None):
        opened = open_backend(_spec(kind="aer", shots=64, seed=3), seed=seed)
        return opened.sampler().run([_bell()]).result()[0].data.meas.get_bitstrings()

    assert bits() == bits(3) != bits(4)


def test_a_device_cut_down_to_its_active_qubits_has_the_noise_of_the_whole():
    device = FakeManilaV2()
    circuit = QuantumCircuit(3)
    for _ in range(12):
        circuit.h(range(3))
        circuit.cx(0, 1)
        circuit.cx(1, 2)
    circuit.measure_all()
    opened = open_backend(_spec(kind="fake", name="FakeManilaV2"), shots=200_000, seed=5)
    isa = transpile(circuit, device, initial_layout=[2, 3, 4], optimization_level=0, seed_transpiler=1)
    here = opened.sampler().run([isa]).result()[0].data.meas.get_counts()
    whole = (
        AerSimulator.from_backend(device, method="density_matrix").run(isa, shots=200_000, seed_simulator=6).result()
    )
    ideal = AerSimulator().run(isa, shots=200_000, seed_simulator=6).result()
    assert hellinger_fidelity(here, whole.get_counts()) > 0.9999
    assert hellinger_fidelity(here, ideal.get_counts()) < 0.99


def test_circuits_on_different_qubits_of_a_device_run_together_but_are_simulated_apart():
    # 36 qubits at once would fit into no memory.
    device = FakeTorino()
    chains = [range(first, first + 6) for first in (0, 6, 44, 66, 98, 110)]
    circuits = []
    for number, chain in enumerate(chains, 1):
        flipped = QuantumCircuit(6)
        flipped.x([qubit for qubit in range(6) if number >> qubit & 1])
        flipped.h(range(6))
        flipped.h(range(6))
        flipped.measure_all()
        circuits.append(transpile(flipped, device, initial_layout=list(chain), optimization_level=0))
    opened = open_backend(_spec(kind="fake", name="FakeTorino"), shots=300, seed=1)
    for number, result in enumerate(opened.sampler().run(circuits).result(), 1):
        counts = result.data.meas.get_counts()
        assert max(counts, key=counts.get) == f"{number:06b}"


def test_a_long_circuit_of_known_gates_is_not_transpiled_for_aer():
    opened = open_backend(_spec(kind="aer"))
    circuit = _rotations()
    assert opened.isa(circuit) is circuit
    block = QuantumCircuit(2)
    block.append(circuit.to_gate(), [0, 1])
    rewritten = opened.isa(block)
    assert set(rewritten.count_ops()) <= {"ry", "cx", "rz"}
    assert set(rewritten.parameters) == set(circuit.parameters)


def test_a_device_gets_isa_circuits_with_free_parameters():
    opened = open_backend(_spec(kind="fake", name="FakeTorino"))
    circuit = opened.isa(_rotations())
    assert set(circuit.count_ops()) <= set(opened.backend.target.operation_names)
    assert [parameter.name for parameter in circuit.parameters] == ["a[0]", "a[1]"]


@pytest.mark.parametrize("name", ["FakeTorino", "fake_torino", "torino", "FAKE_TORINO"])
def test_a_fake_device_is_found_however_it_is_spelled(name):
    assert open_backend(_spec(kind="fake", name=name)).backend.num_qubits == 133


def test_an_unknown_fake_device_suggests_near_ones():
    with pytest.raises(ConfigurationError, match=r"no fake device 'FakeTurino'.*did you mean FakeTorino"):
        open_backend(_spec(kind="fake", name="FakeTurino"))


@pytest.mark.parametrize("options", [{"shots": 0}, {"seed": -1}])
def test_shots_and_seed_given_are_checked(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        open_backend(_spec(kind="aer"), **options)


@pytest.fixture
def provider(tmp_path, monkeypatch):
    (tmp_path / "my_provider.py").write_text(
        "from qiskit_aer import AerSimulator\n"
        "def make(method='automatic'): return AerSimulator(method=method)\n"
        "def wrong(): return 3\n"
        "def failing(): raise OSError('no route')\n"
        "def leaving(): raise SystemExit(0)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("make", "wrong", "failing", "leaving", "absent")
    monkeypatch.setenv("QLAM_ALLOW_FACTORY", ",".join(["no_such_provider:make", *(f"my_provider:{n}" for n in names)]))
    return "my_provider"


def test_a_providers_factory_gets_the_options_and_its_backend_runs(provider):
    spec = _spec(kind="provider", factory=f"{provider}:make", options={"method": "statevector"}, shots=30)
    opened = open_backend(spec, seed=2)
    assert opened.backend.options.method == "statevector"
    counts = opened.sampler().run([opened.isa(_bell())]).result()[0].data.meas.get_counts()
    assert set(counts) <= {"00", "11"} and sum(counts.values()) == 30


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        ("my_provider:wrong", BackendError, "returned int, not a BackendV2"),
        ("my_provider:failing", BackendError, "OSError: no route"),
        ("my_provider:leaving", BackendError, "SystemExit: 0"),
        ("my_provider:absent", ConfigurationError, "my_provider has no absent"),
        ("no_such_provider:make", ConfigurationError, "no module named 'no_such_provider'"),
    ],
)
def test_a_factory_that_fails_says_how(provider, factory, error, message):
    with pytest.raises(error, match=message):
        open_backend(_spec(kind="provider", factory=factory))


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """Make a folder with a registry and a module of a stranger's; ``ran`` appears when any of its code has run."""
    (tmp_path / "strange.py").write_text(
        "from pathlib import Path\nfrom qiskit_aer import AerSimulator\nPath('ran').touch()\n"
        "class Kept:\n    make = AerSimulator\n",
        encoding="utf-8",
    )
    entries = "a: {kind: provider, factory: 'strange:AerSimulator'}, b: {kind: provider, factory: 'strange:Kept.make'}"
    system = "s: {kind: provider, factory: 'os:system', options: {command: 'touch ran'}}"
    (tmp_path / "backends.yaml").write_text(f"default: a\nbackends: {{{entries}, {system}}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    return tmp_path / "ran"


@pytest.mark.parametrize("name", ["a", "b", "s"])
def test_a_strangers_factory_does_not_run_by_itself(strangers, name):
    result = CliRunner().invoke(qlam, ["backends", "check", name])
    assert result.exit_code == 1 and not strangers.exists()
    assert "is not allowed to run; if you trust it, say --allow-factory" in result.stdout
    with pytest.raises(ConfigurationError, match="QLAM_ALLOW_FACTORY="):
        open_backend(load_registry().spec(name))
    other = CliRunner().invoke(qlam, ["backends", "check", name, "--allow-factory", "os:getcwd"])
    assert other.exit_code == 1 and not strangers.exists()


def test_a_factory_that_is_allowed_runs(strangers, monkeypatch):
    allowed = CliRunner().invoke(qlam, ["backends", "check", "b", "--allow-factory", "strange:Kept.make"])
    assert allowed.exit_code == 0, allowed.output
    assert strangers.exists()
    with pytest.raises(ConfigurationError, match="not allowed"):
        open_backend(load_registry().spec("b"))  # the flag was for that command
    monkeypatch.setenv("QLAM_ALLOW_FACTORY", "x:y, strange:AerSimulator")
    assert open_backend(load_registry().spec("a")).name == "a"


def test_an_installed_package_may_offer_a_factory(strangers, tmp_path):
    package = tmp_path / "offer-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: offer\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[qlam.backends]\nanything = strange:AerSimulator\n")
    assert open_backend(load_registry().spec("a")).name == "a"


def test_an_allowance_is_written_as_module_and_function():
    result = CliRunner().invoke(qlam, ["backends", "list", "--allow-factory", "everything"])
    assert result.exit_code == 2 and "'everything' is not written as package.module:callable" in result.stderr
