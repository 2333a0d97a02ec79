"""The package's face: public names that load when they are used, and what they do together."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit_aer import AerSimulator

import qlam_qiskit as qq
from qlam_qiskit.backends import load_registry
from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError

# Finds no module of the kinds that only some commands need.
BLOCKER = """
from importlib.machinery import PathFinder

BLOCKED = {"matplotlib", "pylatexenc", "sklearn", "qiskit_aer", "qiskit_ibm_runtime"}
found = PathFinder.find_spec


def find_spec(name, *rest):
    return None if name.partition(".")[0] in BLOCKED else found(name, *rest)


PathFinder.find_spec = staticmethod(find_spec)
"""


def python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def exchange():
    """Make a memory circuit of two qubits."""
    phi, theta = ParameterVector("phi", 2), ParameterVector("theta", 3)
    update = QuantumCircuit(2)
    for k in range(2):
        update.rx(phi[k], k)
        update.ry(theta[k], k)
    update.rxx(theta[2], 0, 1)
    return qq.MemoryCircuit(update, phi, theta)


def model(backend, **options):
    torch.manual_seed(0)
    settings = check(qq.ModelSettings, {"embedding": {"kind": "linear", "width": 3}}, "test")
    return qq.QLAM(settings, circuit=exchange(), steps=3, classes=2, backend=backend, **options)


def test_importing_the_package_or_the_command_line_loads_nothing_heavy():
    python(
        "import sys, qlam_qiskit, qlam_qiskit.cli;"
        "heavy = {'torch', 'qiskit', 'numpy', 'numba', 'pydantic'} & sys.modules.keys(); assert not heavy, heavy;"
        "assert {name for name in dir(qlam_qiskit) if name[0] != '_'} == set(qlam_qiskit.__all__)"
    )


def test_a_star_import_brings_every_public_name_and_no_other():
    python(
        "import qlam_qiskit; from qlam_qiskit import *;"
        "missing = set(qlam_qiskit.__all__) - set(globals()); assert not missing, missing;"
        "assert callable(train) and not {'import_module', 'Any'} & set(globals())"
    )


def test_public_names_are_documented_and_what_type_checkers_see():
    import ast

    tree = ast.parse(Path(qq.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname for node in checked.body for alias in node.names}
    assert seen == set(qq.__all__)
    assert (Path(qq.__file__).parent / "py.typed").exists()
    assert all((getattr(qq, name).__doc__ or "").strip() for name in qq.__all__)


def test_a_name_that_is_not_there_is_said_as_python_says_it():
    with pytest.raises(AttributeError, match="module 'qlam_qiskit' has no attribute 'qlam'"):
        _ = qq.qlam


def test_the_library_needs_no_plots_no_simulator_and_no_service():
    python(
        BLOCKER + "import qlam_qiskit, qlam_qiskit.cli, torch\n"
        "from qlam_qiskit import *\n"
        "model = QLAM(circuit='line', steps=3, classes=2)\n"
        "model(torch.randn(2, 3, 1)).sum().backward()\n"
    )


def test_an_experiment_trains_with_neither_plots_nor_simulator_nor_service(small_experiment):
    python(
        BLOCKER + "import qlam_qiskit as qq\n"
        "experiment = qq.load_experiment('small.yaml', ('training.validation_fraction=0', 'training.epochs=1'))\n"
        "run = qq.train(experiment, name='bare', progress=False)\n"
        "assert run.evaluate(limit=3)['samples'] == 3\n"
    )


def test_a_command_names_the_extra_that_it_needs(small_experiment, run):
    assert run("train", small_experiment)[0] == 0
    code = BLOCKER + "import sys\nfrom qlam_qiskit.cli import main\nmain()"
    for command in (["report", "small"], ["plot", "small"], ["circuits", "draw", "line", "--out", "line.png"]):
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        needed = "Error: a figure needs matplotlib, which is not installed: pip install 'qlam-qiskit[plot]'\n"
        assert done.stderr == needed


def test_half_of_an_extra_is_named_before_any_work(small_experiment, run, monkeypatch):
    assert run("train", small_experiment)[0] == 0
    needed = "needs pylatexenc, which is not installed: pip install 'qlam-qiskit[plot]'\n"
    for command in (["report", "small"], ["plot", "small"], ["circuits", "draw", "line", "--out", "line.png"]):
        code = BLOCKER.replace('"matplotlib", ', "") + "from qlam_qiskit.cli import main\nmain()"
        code = code.replace('"sklearn", "qiskit_aer", ', "")
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: a figure {needed}")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"a search needs matplotlib.*'qlam-qiskit\[search\]'"):
        qq.search(small_experiment, trials=1, progress=False)


def test_a_model_of_a_circuit_object_trains_in_a_torch_loop():
    torch.manual_seed(0)
    made = qq.QLAM(circuit=exchange(), steps=5, classes=2, backend="exact")
    tokens = torch.randn(32, 5, 1)
    labels = (tokens.sum((1, 2)) > 0).long()
    optimizer = torch.optim.Adam(made.parameters(), 0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(made(tokens)[:, 0], labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("backend", "tolerance"),
    [
        ("aer", 1e-5),
        (load_registry().spec("exact"), 1e-6),
        (StatevectorEstimator(), 1e-5),
        (StatevectorSampler(default_shots=20_000, seed=0), 0.03),
        (AerSimulator(seed_simulator=0), 0.08),
    ],
    ids=["name", "spec", "estimator", "sampler", "backend"],
)
def test_a_model_runs_on_whatever_qiskit_has(backend, tolerance):
    tokens = torch.randn(2, 3, 1, generator=torch.Generator().manual_seed(1))
    exact, there = model(None), model(backend)
    np.testing.assert_allclose(there.read(tokens).detach(), exact.read(tokens).detach(), atol=tolerance)
    there(tokens).sum().backward()
    assert all(parameter.grad is not None for parameter in there.parameters())


def test_a_primitive_of_a_device_gets_circuits_of_the_device():
    from qiskit.primitives import BackendSamplerV2

    chain = [(k, k + 1) for k in range(4)]
    device = AerSimulator(coupling_map=chain, basis_gates=["rz", "sx", "x", "cx"], n_qubits=5)
    sampler = BackendSamplerV2(backend=device, options={"default_shots": 4096, "seed_simulator": 0})
    tokens = torch.randn(2, 3, 1, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(model(sampler).read(tokens).detach(), model(None).read(tokens).detach(), atol=0.05)


def test_a_backend_of_no_kind_is_one_line():
    with pytest.raises(ConfigurationError, match=r"a backend is a name in backends\.yaml.*, not int"):
        model(7)
    with pytest.raises(ConfigurationError, match="no backend named 'exakt'"):
        model("exakt")
    with pytest.raises(ConfigurationError, match="a backend or an execution, not both"):
        model("exact", execution=lambda *_: None)


def test_training_takes_a_file_a_mapping_or_an_experiment(small_experiment, capsys):
    run = qq.train(small_experiment, progress=False)
    assert (type(run), run.path.name) == (qq.Run, "small")
    experiment = qq.load_experiment(small_experiment)
    again = qq.train(experiment, progress=False, out="again")
    mapped = qq.train(experiment.model_dump(), name="mapped", progress=False)
    assert mapped.path.name == "mapped"
    assert run.result["test_loss"] == again.result["test_loss"] == mapped.result["test_loss"]
    assert capsys.readouterr() == ("", "")
    assert qq.train(experiment, out="again", resume=True).result == again.result
    other = qq.train(experiment, seed=4, backend="aer", name="other", progress=False)
    assert (other.result["seed"], other.result["backend"]) == (4, "aer")
    assert qq.Run.open("small").evaluate(limit=10)["samples"] == 10


def test_from_a_circuit_of_ones_own_to_what_a_device_answered(small_experiment, capsys):
    Path("backends.yaml").write_text(
        "default: exact\nbackends:\n  exact: {kind: exact}\n  noisy: {kind: fake, name: FakeManilaV2}\n"
        "  heron: {kind: fake, name: FakeManilaV2, shots: 200, min_fidelity: 0.99}\n"
    )
    own = qq.QLAM(circuit=exchange(), steps=784, classes=10, backend="exact")
    assert own(torch.zeros(1, 784, 1)).shape == (1, 1, 10)
    run = qq.train(small_experiment, progress=False)
    assert run.evaluate(backend="noisy", shots=1024, limit=2)["shots"] == 1024
    plan = run.plan(backend="heron", limit=4)
    print(plan)
    cost, refusal = capsys.readouterr().out.splitlines()
    assert cost.startswith("4 samples on heron: 1 job, ")
    assert ", fidelity 0." in cost
    assert "QPU time" in cost
    assert refusal.startswith("submit() refuses it: ")
    assert "0.99" in refusal
    with pytest.raises(qq.QlamError, match="not sent"):
        plan.submit()
    submission = plan.submit(anyway=True)
    assert isinstance(submission, qq.Submission)
    assert isinstance(submission.wait(), qq.Submission)
    assert run.score(submission)["samples"] == 4
    assert str(run.plan(backend="noisy", limit=4)).count("\n") == 0


def test_what_is_no_experiment_is_one_line():
    with pytest.raises(ConfigurationError, match="not int"):
        qq.train(3)
    with pytest.raises(ConfigurationError, match="experiment: missing key data"):
        qq.train({})
