"""Baselines as models: shapes, what they may see, how they are read, and that they can learn."""

import pytest
import torch
from torch import nn

from qlam_qiskit.baselines import (
    Baseline,
    LinearRecurrentSettings,
    RecurrentSettings,
    ReservoirSettings,
    SelectiveSettings,
    StateSpaceSettings,
    TransformerSettings,
    count_parameters,
)
from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings

EMBEDDING = {"kind": "convolution", "width": 6, "kernel": 3}


def settings(kind, **options):
    values = {"kind": kind, "embedding": EMBEDDING, "width": 8, **options}
    if kind == "s4d":
        return StateSpaceSettings(**{"state": 8, **values})
    if kind == "lru":
        return LinearRecurrentSettings(**{"state": 8, **values})
    if kind == "mamba":
        return SelectiveSettings(**{"state": 4, **values})
    if kind == "transformer":
        return TransformerSettings(**values)
    return RecurrentSettings(**values)


def build(kind, steps=12, answers=1, **options):
    torch.manual_seed(0)
    return Baseline(settings(kind, **options), steps=steps, token_size=2, classes=4, answers=answers)


KINDS = ["rnn", "lstm", "gru", "s4d", "lru", "mamba", "transformer"]
CAUSAL = KINDS[:-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_tokens_become_logits_and_every_parameter_learns(kind, layers):
    model = build(kind, answers=3, layers=layers, readout={"times": 4})
    logits = model(torch.randn(5, 12, 2))
    assert logits.shape == (5, 3, 4)
    logits.square().sum().backward()
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not still


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_reading_knows_only_tokens_up_to_its_step(kind):
    model = build(kind, readout={"times": 4, "pooling": "last"})
    tokens = torch.randn(3, 12, 2)
    changed = tokens.clone()
    changed[:, 7:] += 1.0
    before, after = model.read(tokens), model.read(changed)
    torch.testing.assert_close(before[:, :2], after[:, :2])  # steps 2 and 5
    assert (before[:, 2:] - after[:, 2:]).abs().amax(dim=(0, 2)).min() > 1e-3


def test_attention_sees_every_token():
    model = build("transformer", readout={"times": 4, "pooling": "last"})
    tokens = torch.randn(3, 12, 2)
    changed = tokens.clone()
    changed[:, 11] += 1.0
    assert (model.read(tokens) - model.read(changed)).abs().amax(dim=(0, 2)).min() > 1e-4


@pytest.mark.parametrize("steps", [8, 10, 23])
@pytest.mark.parametrize("times", [1, 3, 8])
def test_reading_times_are_those_of_qlam(steps, times):
    sizes = {"steps": steps, "token_size": 1, "classes": 2}
    qlam = QLAM(ModelSettings(circuit={"qubits": 2}, readout={"times": times}), **sizes)
    baseline = Baseline(RecurrentSettings(kind="rnn", readout={"times": times}), **sizes)
    assert baseline.readout_steps == qlam.layers[-1].readout_steps


def test_mean_pooling_averages_the_steps_since_the_reading_before():
    model = build("s4d", steps=10, readout={"times": 3, "pooling": "mean"})
    tokens = torch.randn(2, 10, 2)
    outputs = model.memory(model.embedding(tokens))
    expected = torch.stack([outputs[:, :3].mean(1), outputs[:, 3:7].mean(1), outputs[:, 7:].mean(1)], dim=1)
    assert model.readout_steps == (2, 6, 9)
    torch.testing.assert_close(model.read(tokens), expected)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["rnn", "gru", "s4d", "transformer"])
def test_outputs_at_some_steps_are_those_among_all(kind, layers):
    model = build(kind, layers=layers)
    embedded = model.embedding(torch.randn(3, 12, 2))
    some, among_all = model.memory(embedded, (2, 11)), model.memory(embedded)[:, [2, 11]]
    torch.testing.assert_close(some, among_all, rtol=1e-4, atol=1e-5)
    parameters = list(model.memory.parameters())
    gradients = [torch.autograd.grad(outputs.square().sum(), parameters) for outputs in (some, among_all)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_more_readings_than_steps_are_refused():
    with pytest.raises(ConfigurationError, match=r"model\.readout\.times: at most the 12 steps .* \(got 13\)"):
        build("gru", readout={"times": 13})


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_padded_attention_equals_attention_written_out(heads):
    model = build("transformer", width=12, heads=heads).memory
    layer = model.layers[0]
    tokens = torch.randn(3, 9, 12)
    query, key, value = layer.query_key_value(layer.attention_norm(tokens)).chunk(3, dim=2)
    split = [part.reshape(3, 9, heads, -1).transpose(1, 2) for part in (query, key, value)]
    scores = (split[0] @ split[1].transpose(2, 3) / (12 / heads) ** 0.5).softmax(-1)
    mixed = layer.mix((scores @ split[2]).transpose(1, 2).reshape(3, 9, 12))
    expected = tokens + mixed
    expected = expected + layer.narrow(torch.nn.functional.gelu(layer.widen(layer.feedforward_norm(expected))))
    torch.testing.assert_close(layer(tokens), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_a_transformer_tells_orders_apart(positions):
    model = build("transformer", positions=positions, embedding={"kind": "linear", "width": 6})
    tokens = torch.randn(2, 12, 2)
    assert (model(tokens) - model(tokens.flip(1))).abs().max() > 1e-4


def test_an_lstm_remembers_at_the_start():
    bias = build("lstm").memory.cell.bias_ih_l0
    assert torch.equal(bias[8:16], torch.ones(8))
    assert not bias[:8].any()


def test_only_the_head_of_a_reservoir_is_trained():
    from qlam_qiskit.data import DataSettings, load_data
    from qlam_qiskit.runs.building import build_model

    data = load_data(DataSettings(dataset="digits"))
    model = build_model(ReservoirSettings(kind="reservoir", circuit={"qubits": 3}), data, None, 0)
    assert count_parameters(model) == sum(parameter.numel() for parameter in model.head.parameters()) == 8 * 10 + 10
    model(torch.randn(2, data.steps, data.token_size)).sum().backward()
    assert all(parameter.grad is None for parameter in model.layers.parameters())


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_a_second_memory_reads_the_sequence_backwards(kind, pooling):
    readout = {"times": 3, "pooling": pooling}
    model, single = build(kind, readout=readout, directions="both"), build(kind, readout=readout)
    tokens = torch.randn(3, 12, 2)
    read = model.read(tokens)
    assert read.shape == (3, 3, 16)
    single.embedding = nn.Identity()
    for memory, embedded, part in (
        (model.memory, model.embedding(tokens), read[..., :8]),
        (model.backward_memory, model.embedding(tokens).flip(1), read[..., 8:]),
    ):
        single.memory = memory
        torch.testing.assert_close(single.read(embedded), part)
    model(tokens).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_transformer_reads_both_ways_already():
    with pytest.raises(ConfigurationError, match="unknown key directions"):
        check(TransformerSettings, {"kind": "transformer", "directions": "both"}, "test")
