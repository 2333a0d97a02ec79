"""Heads solved in closed form: ridge on delays and on random memories, against solvers of another kind."""

import numpy as np
import pytest
import torch

from qlam_qiskit.baselines import Baseline, DelaySettings, EchoStateSettings, count_parameters
from qlam_qiskit.data import load_data, validation_split
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.runs import Experiment
from qlam_qiskit.training import train

SERIES = {"dataset": "series", "steps": 80, "train_samples": 40, "test_samples": 20}


def run(quiet, tmp_path, model, data=SERIES, **training):
    training = {"epochs": 4, "batch_size": 16, "validation_fraction": 0.2, **training}
    experiment = Experiment.model_validate({"data": data, "model": model, "training": training})
    return train(experiment, "solved", quiet, out=tmp_path / "run")


def windows(tokens, width):
    """Put the last tokens beside each other, step by step."""
    rows = [[series[max(t - k, 0)] if t >= k else 0.0 for k in range(width)] for series in tokens for t in range(80)]
    return np.column_stack([np.array(rows), np.ones(len(rows))])


def test_delays_are_a_linear_regression_on_past_tokens(quiet, tmp_path):
    folder, result = run(quiet, tmp_path, {"kind": "delays", "width": 12})
    data = load_data(SERIES)
    training, _ = validation_split(data.train, 0.2, 0)
    seen, told = windows(training.values[..., 0].astype(float), 12), training.labels.reshape(-1).astype(float)
    given = ~np.isnan(told)
    weights, *_ = np.linalg.lstsq(seen[given], told[given], rcond=None)
    told = data.test.labels.reshape(-1).astype(float)
    given = ~np.isnan(told)
    errors = (windows(data.test.values[..., 0].astype(float), 12) @ weights - told)[given]
    expected = np.sqrt((errors**2).mean()) / told[given].std()
    assert 0.2 < expected < 0.7
    assert result["test_nrmse"] == pytest.approx(expected, rel=2e-3)
    assert result["parameters"] == 13
    assert [row["epoch"] for row in folder.metrics()] == [4]


def test_a_run_that_was_solved_is_not_solved_again(quiet, tmp_path):
    folder, result = run(quiet, tmp_path, {"kind": "delays"})
    experiment = folder.experiment()
    assert train(experiment, "solved", quiet, out=folder.path, resume=True)[1] == result
    assert len(folder.metrics()) == 1


def test_an_echo_state_network_does_what_its_recurrence_says():
    torch.manual_seed(3)
    model = Baseline(
        EchoStateSettings(kind="echo_state", width=15, spectral_radius=0.8, leak=0.6),
        steps=6,
        token_size=2,
        classes=1,
        every_step=True,
    )
    weights, drive, bias = (part.numpy() for part in (model.memory.recurrent, model.memory.input, model.memory.bias))
    assert np.abs(np.linalg.eigvals(weights)).max() == pytest.approx(0.8, rel=1e-4)
    tokens = torch.randn(3, 6, 2)
    state = np.zeros((3, 15))
    for t in range(6):
        state = 0.4 * state + 0.6 * np.tanh(state @ weights.T + tokens[:, t].numpy() @ drive.T + bias)
        assert model.read(tokens)[:, t].numpy() == pytest.approx(state, abs=1e-5)
    assert count_parameters(model) == 16


def test_fixed_memories_beat_the_mean_and_an_untrained_qlam_is_solved_too(quiet, tmp_path):
    _, echo = run(quiet, tmp_path / "echo", {"kind": "echo_state", "width": 60})
    reservoir = {
        "kind": "reservoir",
        "fit": "ridge",
        "circuit": {"template": "damped_ring", "qubits": 3},
        "registers": 4,
        "time_scale": 0.5,
        "readout": {"kind": "z_strings", "max_weight": 3},
    }
    folder, quantum = run(quiet, tmp_path / "quantum", reservoir)
    assert echo["test_nrmse"] < 0.8
    assert quantum["test_nrmse"] < 0.95
    assert quantum["parameters"] == 4 * 7 + 1
    assert [row["epoch"] for row in folder.metrics()] == [4]


def test_numbers_at_the_end_are_solved_too(tmp_path):
    model = Baseline(DelaySettings(kind="delays", width=3), steps=5, token_size=2, classes=2)
    tokens = torch.arange(20.0).reshape(2, 5, 2)
    assert model.read(tokens).tolist() == tokens[:, 2:].flatten(1)[:, None].tolist()


@pytest.mark.parametrize(
    ("data", "training"),
    [({"dataset": "digits", "train_limit": 50, "test_limit": 10}, {}), (SERIES, {"validation_fraction": 0.0})],
)
def test_what_cannot_be_solved_is_refused(quiet, tmp_path, data, training):
    with pytest.raises(ConfigurationError, match="a head that ridge regression solves predicts numbers"):
        run(quiet, tmp_path, {"kind": "delays", "width": 3}, data, **training)
