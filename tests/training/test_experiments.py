"""Experiments: those that ship are valid, and every mistake in one is a line that names it."""

import re

import pytest

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.training import find_experiments, load_experiment

SHIPPED = (
    "copying",
    "digits",
    "digits_aer",
    "digits_device",
    "mnist_rows",
    "mnist_rows_noise_aware",
    "psmnist",
    "recall",
    "scifar10",
    "series",
    "sfashion",
    "sfashion_device",
    "smnist",
    "smnist_device",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_experiments_are_valid_and_described(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_experiment(name).description


def test_an_experiment_of_the_users_own_is_found_and_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "digits.yaml").write_text("data: {dataset: digits}\ndescription: mine\n")
    assert load_experiment("digits").description == "mine"
    assert find_experiments()["digits"].parent.name == "experiments"


def test_assignments_seed_and_backend_are_applied():
    loaded = load_experiment("digits", ("model.circuit.qubits=3", "training.epochs=2"), seed=7, backend="aer")
    assert (loaded.model.circuit.qubits, loaded.training.epochs, loaded.seed, loaded.backend) == (3, 2, 7, "aer")
    assert loaded.model.circuit.template == "ring"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("modle.registers=2", r"unknown key modle; valid keys: backend, data, description, model, seed, training"),
        ("model.head=2", r"unknown key model\.head; valid keys: circuit, directions, embedding, kind"),
        ("model.circuit.qbits=2", r"unknown key model\.circuit\.qbits; valid keys: options, qubits, template"),
        ("training.epochs=many", r"training\.epochs: .*valid integer"),
        ("training.epochs=0", r"training\.epochs: .*greater than or equal to 1"),
        ("training.epochs=1.5", r"training\.epochs: .*valid integer"),
        ("training.circuit_rate=.nan", r"training\.circuit_rate: .*finite"),
        ("model.embedding.kind=attention", r"model\.embedding\.kind: .*'linear' or 'convolution'"),
        ("model.registers", r"--set model\.registers: expected key=value"),
        ("seed.a=1", r"--set seed\.a=1: seed is not a section"),
        ("data.dataset=imagenet", r"data"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(assignment, message):
    with pytest.raises(ConfigurationError) as caught:
        load_experiment("digits", ("seed=1", assignment))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_an_unknown_name_lists_the_known_ones():
    known = "copying, copying_long, digits"
    with pytest.raises(ConfigurationError, match=f"unknown experiment 'digit'; available: {known}"):
        load_experiment("digit")


@pytest.mark.parametrize(
    ("text", "message"), [("- 1", "expected a mapping"), ("a: [", "not valid YAML"), ("", "mapping")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_experiment(str(tmp_path / "bad.yaml"))
