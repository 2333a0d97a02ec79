"""Rates of damping: what is trained, what the circuit turns by, and where they start."""

import numpy as np
import pytest
import torch

from qlam_qiskit.errors import CircuitError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network import MemoryConnector, MemoryNetwork
from qlam_qiskit.rate import Rate, angle_from_rate, rate_from_angle
from qlam_qiskit.templates import load_template


def _connector(trained, registers=1):
    network = MemoryNetwork(load_template("damped_line", 2), steps=3, registers=registers)
    return MemoryConnector(network, initial_weights=np.asarray(trained, float).ravel(), weight_scale=0.5)


def test_angles_and_rates_are_two_names_of_one_number():
    for gamma in (1e-6, 0.002, 0.5, 0.999):
        np.testing.assert_allclose(rate_from_angle(angle_from_rate(gamma)), gamma, rtol=1e-12)


def test_a_rate_is_trained_by_its_log_odds_and_other_weights_by_their_scale():
    trained = np.array([0.3, -0.2, 1.0, -3.0])
    angles = _connector(trained).angles()[0].detach().numpy()
    np.testing.assert_allclose(angles[:3], 0.5 * trained[:3], rtol=1e-6)
    np.testing.assert_allclose(rate_from_angle(angles[3]), 1 / (1 + np.exp(3.0)), rtol=1e-5)


@pytest.mark.parametrize("log_odds", [-300.0, -8.0, 0.0, 8.0, 300.0])
def test_the_slope_of_a_rates_angle_is_finite_and_right(log_odds):
    connector = _connector([0.0, 0.0, 0.0, log_odds])
    angle = connector.angles()[0, 3]
    (slope,) = torch.autograd.grad(angle, connector.weight)
    gamma = 1 / (1 + np.exp(-log_odds))
    np.testing.assert_allclose(slope[3].item(), np.sqrt(gamma * (1 - gamma)), rtol=1e-4, atol=1e-6)


def test_rates_start_log_uniformly_in_their_range():
    drawn = Rate(0.002, 0.1).draw(np.linspace(0, 1, 5))
    gamma = 1 / (1 + np.exp(-drawn))
    np.testing.assert_allclose(gamma[[0, -1]], [0.002, 0.1])
    np.testing.assert_allclose(np.diff(np.log(gamma)), np.log(50) / 4)
    settings = ModelSettings(
        circuit={"template": "damped_ring", "qubits": 3, "options": {"rates": [0.2, 0.3]}}, registers=4
    )
    model = QLAM(settings, steps=4, token_size=1, classes=2)
    gamma = rate_from_angle(model.layers[0].memory.angles().detach().numpy()[:, -3:])
    assert ((gamma > 0.2) & (gamma < 0.3)).all()
    assert len(np.unique(gamma)) == gamma.size


def test_a_range_is_checked():
    for low, high in [(0.0, 0.1), (0.2, 0.1), (0.5, 1.0)]:
        with pytest.raises(CircuitError, match=f"not from {low} to {high}"):
            Rate(low, high)
