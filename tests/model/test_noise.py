"""Noise in training: what is injected is the error that it is said to be, and only where it should be."""

import math

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorSampler
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error

from qlam_qiskit.configuration import check
from qlam_qiskit.engine import Readout
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.noise import ShotNoise, depolarized_circuit, device_circuit
from qlam_qiskit.templates import load_template

STEPS = 3
SIZES = {"steps": 5, "token_size": 2, "classes": 4}


def make(noise, **sections):
    torch.manual_seed(0)
    values = {"circuit": {"template": "line", "qubits": 3}, "time_scale": 0.5, "noise": noise, **sections}
    return QLAM(check(ModelSettings, values, "test"), **SIZES)


@pytest.mark.parametrize("template", ["line", "reuploading", "damped_ring"])
def test_pauli_errors_are_depolarization_after_each_step(template):
    """Aer's density matrix, to the last digits."""
    memory, p = load_template(template, 3), 0.1
    rng = np.random.default_rng(1)
    phi = rng.normal(size=(1, STEPS, 1, memory.num_inputs))
    weights, alpha = rng.normal(size=(1, memory.num_weights)), rng.normal(size=(1, 1, 1, 1, memory.num_query_angles))
    circuit = memory.update.copy_empty_like()
    for inputs in phi[0, :, 0]:
        values = dict(zip((*memory.inputs, *memory.weights), (*inputs, *weights[0]), strict=True))
        for item in memory.update.assign_parameters(values).data:
            if item.operation.name != "measure":  # where Aer would draw an outcome
                circuit.append(item)
        for qubit in memory.memory_qubits:
            # Aer's parameter counts the identity among four equally probable Paulis.
            circuit.append(depolarizing_error(4 * p / 3, 1).to_instruction(), [qubit])
        for qubit in memory.ancillas:
            circuit.reset(qubit)
    circuit.compose(memory.query.assign_parameters(alpha.ravel()), memory.memory_qubits, inplace=True)
    circuit = circuit.decompose("xx_plus_yy")  # which Aer does not know
    circuit.save_probabilities(qubits=memory.memory_qubits)
    expected = AerSimulator(method="density_matrix").run(circuit).result().data()["probabilities"]

    noisy = depolarized_circuit(memory, p)
    found, free = (
        OpenEngine(each, precision="float64").forward(phi, weights, alpha)[0][0, 0, 0, 0] for each in (noisy, memory)
    )
    assert np.abs(found - expected).max() < 1e-10
    assert np.abs(free - expected).max() > 1e-2


def test_a_struck_model_has_the_readouts_and_gradients_of_its_channels():
    struck, tokens = make({"pauli": 0.2}), torch.randn(6, 5, 2)
    clean = make({})
    noisy = depolarized_circuit(clean.layers[0].memory.neural_network.memory, 0.2)
    torch.manual_seed(0)
    expected = QLAM(check(ModelSettings, {"time_scale": 0.5}, "test"), **SIZES, circuit=noisy)
    expected.load_state_dict(clean.state_dict())
    answers = [model(tokens) for model in (struck, expected)]
    torch.testing.assert_close(*answers)
    for answer in answers:
        answer.square().sum().backward()
    for one, other in zip(struck.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert struck.state_dict().keys() == clean.state_dict().keys()


def test_no_probability_changes_no_bit_and_draws_nothing():
    tokens = torch.randn(6, 5, 2)
    plain, silent = make({}), make({"pauli": 0.0})
    state = torch.get_rng_state()
    assert torch.equal(plain(tokens), silent(tokens))
    assert torch.equal(state, torch.get_rng_state())


def test_evaluation_is_free_of_noise():
    tokens = torch.randn(6, 5, 2)
    plain, noisy = make({}).eval(), make({"pauli": 0.5, "shots": 10}).eval()
    state = torch.get_rng_state()
    assert torch.equal(plain(tokens), noisy(tokens))
    assert torch.equal(state, torch.get_rng_state())
    noisy.train()
    assert not torch.allclose(plain(tokens), noisy(tokens), atol=0.01)
    phi, _ = noisy.layers[0].angles(tokens)
    assert torch.equal(phi, plain.layers[0].angles(tokens)[0])


def test_noise_is_the_seeds_and_gradients_flow_through_it():
    model, tokens = make({"pauli": 0.2, "shots": 50}), torch.randn(6, 5, 2)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(model(tokens))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    results[0].square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_scattered_probabilities_have_the_mean_and_covariance_of_shots():
    rng = np.random.default_rng(0)
    p, shots, samples = rng.dirichlet(np.ones(8)), 200, 100_000
    readout = Readout(3)
    torch.manual_seed(0)
    exact = torch.from_numpy(readout.from_probabilities(np.broadcast_to(p, (samples, 8)).copy()))
    found = (ShotNoise(readout, shots)(exact).numpy() + 1) / 8
    covariance = (np.diag(p) - np.outer(p, p)) / shots
    assert np.abs(found.mean(0) - p).max() < 5 * math.sqrt(covariance.max() / samples)
    assert np.abs(np.cov(found.T) - covariance).max() < 0.02 * covariance.max()
    assert np.abs(found.sum(-1) - 1).max() < 1e-6


def test_scattered_z_strings_have_the_variance_of_shots():
    readout, shots = Readout(2, "z_strings"), 100
    exact = torch.tensor([0.0, 0.6, 1.0]).expand(50_000, 3)
    torch.manual_seed(0)
    found = ShotNoise(readout, shots)(exact)
    assert found.var(0) == pytest.approx(np.array([0.01, 0.0064, 0.0]), rel=0.05)


def test_a_memory_too_large_for_exact_errors_is_refused():
    with pytest.raises(QlamError, match="at most 6 qubits, not 7"):
        make({"pauli": 0.1}, circuit={"template": "line", "qubits": 7}).train()(torch.randn(2, 5, 2))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"pauli": 1.5}, "noise.pauli"),
        ({"shots": 0}, "noise.shots"),
        ({"pauli": 0.1, "device": "FakeTorino"}, "not both"),
        ({"bitflip": 0.1}, "unknown key noise.bitflip; valid keys: device, pauli, shots"),
    ],
)
def test_settings_that_make_no_sense_are_refused(noise, message):
    with pytest.raises(ConfigurationError, match=message):
        check(ModelSettings, {"noise": noise}, "test")


@pytest.mark.parametrize("template", ["line", "damped_line"])
def test_a_model_trained_for_a_device_suffers_its_exact_errors_in_training_alone(template):
    sections = {"circuit": {"template": template, "qubits": 3}, "registers": 2, "layers": 2}
    sections["readout"] = {"kind": "z_strings", "times": 2, "pooling": "mean"}
    clean, trained = make({}, **sections), make({"device": "FakeManilaV2"}, **sections)
    tokens = torch.randn(4, 5, 2)
    assert torch.equal(clean.eval()(tokens), trained.eval()(tokens))
    memory = clean.layers[0].memory.neural_network.memory
    noisy = device_circuit(memory, "FakeManilaV2", Readout(3))
    torch.manual_seed(0)  # the same weights on the noisy circuit, in evaluation and training alike
    expected = QLAM(check(ModelSettings, {"time_scale": 0.5, **sections}, "test"), **SIZES, circuit=noisy)
    expected.load_state_dict(clean.state_dict())
    suffered = trained.train()(tokens)
    torch.testing.assert_close(suffered, expected(tokens))
    assert (suffered - clean(tokens)).abs().max() > 1e-3
    losses = [model(tokens).square().sum() for model in (trained, expected)]
    for model, loss in zip((trained, expected), losses, strict=True):
        model.zero_grad()
        loss.backward()
    for one, other in zip(trained.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert trained.state_dict().keys() == clean.state_dict().keys()
    assert torch.equal(clean.eval()(tokens), trained.eval()(tokens))


def test_scattered_emissions_have_the_variance_of_the_bits_of_their_span():
    readout, shots = Readout(3, "emissions", emissions=2), 40
    exact = torch.tensor([0.1, 0.4]).expand(20_000, 2, 1, 1, 2)
    found = ShotNoise(readout, shots, (3, 5))(exact)
    lengths = torch.tensor([4.0, 2.0]).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(found.mean(0), exact[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(found.var(0), exact[0] * (1 - exact[0]) / (shots * lengths), rtol=0.05, atol=0)


def test_an_unknown_device_lists_near_ones():
    with pytest.raises(ConfigurationError, match=r"FakeTorinoo.*FakeTorino"):
        make({"device": "FakeTorinoo"}).train()(torch.randn(2, 5, 2))


def test_a_backend_that_executes_circuits_does_not_train_on_another_devices_errors():
    values = check(ModelSettings, {"circuit": {"qubits": 2}, "noise": {"device": "FakeManilaV2"}}, "test")
    model = QLAM(values, **SIZES, backend=StatevectorSampler())
    with pytest.raises(ConfigurationError, match=r"errors of model\.noise train on a backend of kind exact"):
        model.train()(torch.randn(2, 5, 2))
