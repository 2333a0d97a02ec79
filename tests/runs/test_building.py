"""Models that experiments describe: on a GPU all that makes the angles is beside the memory, with the same answers."""

import pytest
import torch
from gpu import needs_gpu

from qlam_qiskit.backends import make_spec
from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.model import ModelSettings
from qlam_qiskit.network import executions_on
from qlam_qiskit.runs.building import build_model

EMBEDDING = {"kind": "convolution", "width": 6, "kernel": 3}
MODELS = {
    "both ways, normalized means": {
        "directions": "both",
        "readout": {"kind": "z_strings", "pooling": "mean", "times": 3, "normalize": "batch"},
    },
    "steps and queries of the tokens": {
        "time_step": "selective",
        "queries": {"kind": "last_token", "count": 2},
        "circuit": {"template": "reuploading", "qubits": 2},
    },
    "two layers": {"layers": 2},
}


def answers_and_gradients(values, device, *, padded):
    data = load_data(DataSettings(dataset="copying", symbols=2, alphabet=3, delay=8, train_samples=8, test_samples=4))
    settings = ModelSettings.model_validate(
        {"circuit": {"template": "damped_ring", "qubits": 2}, "registers": 3, "embedding": EMBEDDING, **values}
    )
    model = build_model(
        settings, data, executions_on(make_spec("exact", {"kind": "exact", "device": device}, "test")), seed=0
    )
    tokens = torch.from_numpy(data.train.tokens(slice(None)))
    if padded:
        tokens[2, 9:] = torch.nan
    logits = model(tokens)
    logits.square().sum().backward()
    assert {parameter.device.type for parameter in model.layers.parameters()} == {device}
    return [logits.detach(), *(parameter.grad.cpu() for parameter in model.parameters())]


@needs_gpu
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_on_a_gpu_answers_and_gradients_are_the_processors(name, padded):
    expected = answers_and_gradients(MODELS[name], "cpu", padded=padded)
    found = answers_and_gradients(MODELS[name], "cuda", padded=padded)
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == "cpu"
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("name", MODELS)
def test_on_the_processor_every_parameter_has_a_gradient(name):
    logits, *gradients = answers_and_gradients(MODELS[name], "cpu", padded=True)
    assert logits.shape[0] == 8
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)
