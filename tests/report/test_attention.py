"""Sizes of derivatives by token: those of finite differences, and nothing from tokens yet to come."""

import numpy as np
import pytest
import torch

from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network import ExactExecution
from qlam_qiskit.report.attention import is_affordable, logit_attention, readout_attention, readout_shape

SETTINGS = {
    "circuit": {"template": "line", "qubits": 2},
    "embedding": {"kind": "convolution", "width": 4, "kernel": 2},
    "registers": 2,
    "queries": {"kind": "last_token", "count": 2},
    "readout": {"kind": "probabilities", "times": 2},
    "time_scale": 0.5,
    "weight_scale": 0.5,
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    settings = ModelSettings.model_validate(SETTINGS)

    def double(memory, readout, steps, readout_steps):
        return ExactExecution.of(memory, readout, readout_steps, precision="float64")

    made = QLAM(settings, steps=6, token_size=3, classes=4, answers=2, execution=double)
    return made.double().eval()


@pytest.fixture
def tokens():
    return np.random.default_rng(2).normal(size=(6, 3))


def jacobian(function, tokens, step=1e-5):
    """Return d(function)/d(tokens), shape (outputs, T, c), by central differences."""
    columns = []
    for place in np.ndindex(tokens.shape):
        shift = np.zeros_like(tokens)
        shift[place] = step
        with torch.no_grad():
            ahead, behind = (function(torch.from_numpy(tokens + sign * shift)[None]) for sign in (1, -1))
        columns.append((ahead - behind).numpy().ravel() / (2 * step))
    return np.stack(columns, axis=1).reshape(-1, *tokens.shape)


def test_logits_agree_with_finite_differences(model, tokens):
    slopes = jacobian(model, tokens).reshape(2, 4, 6, 3)
    expected = np.linalg.norm([slopes[0, 3], slopes[1, 1]], axis=2)
    np.testing.assert_allclose(logit_attention(model, tokens, np.array([3, 1])), expected, atol=1e-7)


def test_readouts_agree_with_finite_differences(model, tokens):
    assert readout_shape(model) == (2, 2, 2, 4)
    slopes = jacobian(model.read, tokens).reshape(2, 2, 2, 4, 6, 3)
    sizes = readout_attention(model, tokens)
    np.testing.assert_allclose(sizes, np.linalg.norm(slopes, axis=(3, 5)), atol=1e-7)
    assert (sizes[0, :, :, 3:] == 0).all()  # read after three of the six steps
    assert (sizes[1] > 0).all()


def test_what_would_take_minutes_is_not_affordable(model):
    assert is_affordable(model, 6)
    assert not is_affordable(model, 10_000_000)


def test_the_number_of_tokens_that_hold_half():
    from qlam_qiskit.report.findings import Attention

    assert Attention(np.array([[1.0, 5, 1, 1, 1]])).tokens_for_half == 1
    assert Attention(np.array([[1.0, 1, 1, 1]])).tokens_for_half == 2
