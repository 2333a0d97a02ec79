"""The ``model:`` section of a baseline: which kinds there are, and what a mistake in one says."""

import re

import pytest

from qlam_qiskit.baselines import RecurrentSettings, ReservoirSettings, StateSpaceSettings, TransformerSettings
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import ModelSettings
from qlam_qiskit.training import load_experiment

KINDS = {
    "qlam": ModelSettings,
    "reservoir": ReservoirSettings,
    "rnn": RecurrentSettings,
    "lstm": RecurrentSettings,
    "gru": RecurrentSettings,
    "transformer": TransformerSettings,
    "s4d": StateSpaceSettings,
}


@pytest.mark.parametrize(("kind", "settings"), KINDS.items())
def test_the_kind_says_which_settings_there_are(kind, settings):
    model = load_experiment("digits", (f"model={{kind: {kind}}}",)).model
    assert type(model) is settings
    assert model.kind == kind


def test_without_a_kind_it_is_qlam():
    assert load_experiment("digits", ("model={registers: 2}",)).model == ModelSettings(registers=2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{kind: perceiver}", r"model\.kind: 'perceiver' is none of 'qlam', 'reservoir', 'rnn', 'lstm', 'gru'"),
        (
            "{kind: lstm, widht: 5}",
            r"unknown key model\.widht; valid keys: directions, embedding, kind, layers, readout, width$",
        ),
        ("{kind: gru, circuit: {qubits: 3}}", r"unknown key model\.circuit; valid keys: directions, embedding"),
        ("{width: 5}", r"unknown key model\.width; valid keys: circuit, directions, embedding"),
        ("{kind: s4d, readout: {time: 3}}", r"unknown key model\.readout\.time; valid keys: pooling, times$"),
        ("{kind: s4d, state: 3}", r"model\.state: .*multiple of 2 \(got 3\)"),
        ("{kind: s4d, step_min: 0.5}", r"model: step_min 0\.5 is larger than step_max 0\.1"),
        ("{kind: transformer, width: 8, heads: 3}", r"model: width 8 is not a multiple of heads 3"),
        ("{kind: transformer, positions: rotary}", r"model\.positions: .*'sinusoidal' or 'learned'"),
        ("{kind: rnn, embedding: {kind: attention}}", r"model\.embedding\.kind: .*'linear' or 'convolution'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(model, message):
    with pytest.raises(ConfigurationError) as caught:
        load_experiment("digits", (f"model={model}",))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
