"""A selective time step: what it multiplies, that it can wait, that it learns, and that a run of it comes back."""

import json

import pytest
import torch
from torch.nn.functional import softplus

from qlam_qiskit.model import QLAM, ModelSettings

SIZES = {"steps": 6, "classes": 3, "token_size": 2}
CIRCUITS = [{"template": "ring", "qubits": 2}, {"template": "damped_line", "qubits": 2}]


def build(time_step, circuit=CIRCUITS[0], **options):
    torch.manual_seed(2)
    settings = ModelSettings(
        circuit=circuit, embedding={"kind": "linear", "width": 5}, registers=2, time_step=time_step, **options
    )
    return QLAM(settings, **SIZES)


@pytest.mark.parametrize("circuit", CIRCUITS, ids=["pure", "open"])
@pytest.mark.parametrize("directions", ["forward", "both"])
def test_a_step_of_one_is_a_fixed_step(circuit, directions):
    fixed, selective = (build(kind, circuit, directions=directions) for kind in ("fixed", "selective"))
    weights = fixed.layers[0].memory.weight.detach().reshape(2, -1)
    assert selective.circuit.num_weights == weights.shape[1]
    layer = selective.layers[0]
    with torch.no_grad():
        free = [weight not in selective.circuit.rates for weight in selective.circuit.weights]
        layer.time_step.theta.copy_(weights[:, free])
        layer.memory.weight.copy_(weights[:, [not each for each in free]].flatten())
        layer.time_step.step.weight.zero_()
        for name in ("embedding", "encoder"):
            getattr(layer, name).load_state_dict(getattr(fixed.layers[0], name).state_dict())
        layer.query_angles.copy_(fixed.layers[0].query_angles)
    tokens = torch.randn(4, 6, 2)
    torch.testing.assert_close(selective.read(tokens), fixed.read(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("start", [1e-6, 0.003, 1.0, 40.0, 1e3])
def test_all_tokens_begin_with_the_step_that_is_asked_for(start):
    step = build("selective", time_step_start=start).layers[0].time_step.step
    torch.testing.assert_close(softplus(step.bias), torch.full((2,), start), rtol=1e-4, atol=0)


def test_a_first_step_of_a_fixed_time_step_is_refused():
    with pytest.raises(ValueError, match=r"time_step_start is that of time_step: selective"):
        build("fixed", time_step_start=0.5)


def test_a_token_that_makes_no_step_changes_nothing():
    model = build("selective")
    layer = model.layers[0]
    with torch.no_grad():  # the second number of a token, 1 in blanks, stops the memory
        layer.embedding.weight.zero_()
        layer.embedding.weight[0, 1] = 1.0
        layer.embedding.weight[1:, 0] = 1.0
        layer.embedding.bias.zero_()
        layer.time_step.step.weight.zero_()
        layer.time_step.step.weight[:, 0] = -100.0
    tokens = torch.zeros(3, 6, 2)
    tokens[:, :3, 0] = torch.randn(3, 3)
    early, late = tokens.clone(), tokens.flip(1)
    early[:, 3:, 1], late[:, :3, 1] = 1.0, 1.0
    shown = torch.cat([late[:, :3], tokens[:, :3]], dim=1)
    torch.testing.assert_close(model.read(early), model.read(shown))


def test_every_angle_is_multiplied_and_every_parameter_learns():
    model = build("selective", CIRCUITS[1])
    layer = model.layers[0]
    tokens = torch.randn(4, 6, 2)
    phi, _ = layer.angles(tokens)
    embedded = layer.embedding(tokens)
    step = softplus(layer.time_step.step(embedded))
    inputs = model.circuit.num_inputs
    theta = phi[..., inputs:] / step[..., None]
    torch.testing.assert_close(theta, (0.05 * layer.time_step.theta).expand_as(theta))
    assert phi.shape[-1] + layer.memory.weight.numel() // 2 == inputs + model.circuit.num_weights
    model(tokens).square().sum().backward()
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


def test_a_run_comes_back_and_goes_to_other_backends(run, small_experiment):
    assert run("train", small_experiment, "--set", "model.time_step=selective", "--out", "selective")[0] == 0
    exact, aer = (
        json.loads(run("evaluate", "selective", "--limit", "8", "--backend", backend, "--json")[1])
        for backend in ("exact", "aer")
    )
    assert aer["loss"] == pytest.approx(exact["loss"], rel=1e-4)
    status, _, error = run("evaluate", "selective", "--limit", "2", "--backend", "fake_torino", "--shots", "64")
    assert status == 0, error
