"""The model: shapes of every combination, causality, a start near the identity, queries of each kind."""

import pytest
import torch

from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.embedding import CausalConvolution

SIZES = {"steps": 9, "token_size": 3, "classes": 4, "answers": 2}


def make(**sections):
    torch.manual_seed(0)
    values = {"circuit": {"template": "line", "qubits": 3}, "embedding": {"width": 5, "kernel": 3}, **sections}
    return QLAM(check(ModelSettings, values, "test"), **SIZES)


@pytest.mark.parametrize(
    ("sections", "readouts"),
    [
        ({}, 8),
        ({"registers": 2, "queries": {"count": 3}}, 48),
        ({"readout": {"kind": "z_strings", "max_weight": 2}}, 6),
        ({"readout": {"times": 3}}, 24),
        ({"layers": 2, "registers": 2}, 16),
        ({"layers": 2, "queries": {"kind": "last_token", "count": 2}}, 16),
        ({"embedding": {"kind": "linear", "width": 4}}, 8),
    ],
)
def test_logits_have_their_shape_and_every_parameter_gets_a_gradient(sections, readouts):
    model = make(**sections)
    assert model.head.in_features == readouts
    logits = model(torch.randn(5, 9, 3))
    assert logits.shape == (5, 2, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_given_query_selects_what_is_read():
    model = make(queries={"kind": "given", "size": 4})
    tokens = torch.randn(2, 9, 3)
    one, other = model(tokens, torch.zeros(2, 4)), model(tokens, torch.ones(2, 4))
    assert not torch.allclose(one, other)
    with pytest.raises(ConfigurationError, match="call it with a query"):
        model(tokens)


def test_a_given_query_needs_a_size():
    with pytest.raises(ConfigurationError, match=r"model\.queries\.size"):
        make(queries={"kind": "given"})


def test_more_readouts_than_steps_are_refused():
    with pytest.raises(ConfigurationError, match="at most the 9 steps"):
        make(readout={"times": 10})


def test_readouts_in_time_are_evenly_spaced_and_end_at_the_last_step():
    assert make(readout={"times": 3}).layers[-1].readout_steps == (2, 5, 8)
    assert make().layers[-1].readout_steps == (8,)


def test_a_readout_depends_on_no_later_token():
    model = make(readout={"times": 3})
    tokens = torch.randn(1, 9, 3)
    changed = tokens.clone()
    changed[:, 6:] += 1.0
    before, after = model.read(tokens), model.read(changed)
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])


def test_the_causal_convolution_is_torchs_convolution_of_the_past():
    torch.manual_seed(0)
    embedding = CausalConvolution(2, 4, kernel=3)
    tokens = torch.randn(5, 7, 2)
    weight = embedding.linear.weight.reshape(4, 2, 3)
    padded = torch.nn.functional.pad(tokens.transpose(1, 2), (2, 0))
    expected = torch.nn.functional.gelu(torch.nn.functional.conv1d(padded, weight, embedding.linear.bias))
    assert torch.allclose(embedding(tokens), expected.transpose(1, 2), atol=1e-6)


def test_the_memory_starts_near_the_identity():
    torch.manual_seed(0)
    settings = check(ModelSettings, {"time_scale": 0.01, "weight_std": 0.001}, "test")
    model = QLAM(settings, steps=20, token_size=1, classes=2)
    with torch.no_grad():
        model.layers[0].query_angles.zero_()
        probability_of_zero = (model.read(torch.randn(4, 20, 1))[:, 0, 0] + 1) / 64
    assert (probability_of_zero > 0.9).all()


def test_time_scales_spread_over_the_decades_asked_for():
    scales = make(time_scale=0.1, time_scale_decades=2.0).layers[0].time_scales
    assert torch.isclose(scales[0], torch.tensor(0.01))
    assert torch.isclose(scales[-1], torch.tensor(1.0))


def test_the_seed_fixes_the_model():
    one, other = make(registers=2), make(registers=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
