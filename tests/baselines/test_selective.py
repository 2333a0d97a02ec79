"""S6 and the linear recurrent unit: what they compute, written out, and how they start."""

import torch
from torch.nn.functional import softplus

from qlam_qiskit.baselines import LinearRecurrentSettings, SelectiveSettings
from qlam_qiskit.baselines.lru import LinearRecurrentUnit
from qlam_qiskit.baselines.selective import SelectiveStateSpace


def test_s6_is_its_recurrence():
    torch.manual_seed(1)
    layer = SelectiveStateSpace(SelectiveSettings(kind="mamba", width=17, state=3), 4).double()
    signals = torch.randn(2, 11, 4, dtype=torch.float64)
    decay = -layer.log_decay.exp()  # A, (channels, N)
    state, expected = torch.zeros(2, 4, 3, dtype=torch.float64), []
    for token in signals.unbind(1):
        low_rank, into, out = layer.select(token).split((2, 3, 3), dim=-1)
        step = softplus(low_rank @ layer.step.weight.T + layer.step.bias)[..., None]
        state = torch.exp(step * decay) * state + step * into[:, None] * token[..., None]
        expected.append((state * out[:, None]).sum(-1) + layer.direct * token)
    torch.testing.assert_close(layer(signals), torch.stack(expected, dim=1))


def test_s6_starts_as_published():
    torch.manual_seed(1)
    settings = SelectiveSettings(kind="mamba", width=8, state=4, step_min=0.01, step_max=0.02)
    layer = SelectiveStateSpace(settings, 16)
    steps = softplus(layer.step.bias)
    assert steps.min() >= 0.01 * (1 - 1e-4)
    assert steps.max() <= 0.02 * (1 + 1e-4)
    torch.testing.assert_close(layer.log_decay.exp(), torch.arange(1.0, 5.0).repeat(16, 1))


def test_a_linear_recurrent_unit_is_its_recurrence():
    torch.manual_seed(1)
    layer = LinearRecurrentUnit(LinearRecurrentSettings(kind="lru", width=3, state=5)).double()
    signals = torch.randn(2, 11, 3, dtype=torch.float64)
    nu, theta, gamma = ((0.1 * value).exp() for value in (layer.log_nu, layer.log_theta, layer.log_gamma))
    factor = torch.exp(torch.complex(-nu, theta))
    into, out = torch.view_as_complex(layer.input), torch.view_as_complex(layer.output)
    state, expected = torch.zeros(2, 5, dtype=torch.complex128), []
    for token in signals.unbind(1):
        state = factor * state + gamma * (token.to(into.dtype) @ into.T)
        expected.append((state @ out.T).real + layer.direct * token)
    torch.testing.assert_close(layer(signals), torch.stack(expected, dim=1))


def test_a_linear_recurrent_unit_starts_inside_its_ring_and_keeps_the_size_of_its_drives():
    torch.manual_seed(1)
    settings = LinearRecurrentSettings(kind="lru", width=16, state=64, radius_min=0.5, radius_max=0.9, phase_max=0.3)
    layer = LinearRecurrentUnit(settings)
    eigenvalues = layer.eigenvalues()
    assert eigenvalues.abs().min() >= 0.5
    assert eigenvalues.abs().max() <= 0.9
    assert eigenvalues.angle().min() >= 0
    assert eigenvalues.angle().max() <= 0.3
    torch.testing.assert_close((0.1 * layer.log_gamma).exp(), torch.sqrt(1 - eigenvalues.abs() ** 2))
    assert layer(torch.randn(2, 2000, 16)).isfinite().all()
