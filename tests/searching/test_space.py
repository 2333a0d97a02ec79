"""A space of experiments: what its file may say, its grid, and what of it does not fit an experiment."""

import math
import pickle

import pytest

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.plain_yaml import dump_yaml
from qlam_qiskit.runs import find_experiments, load_experiment
from qlam_qiskit.searching import Space

LINEAR = {"kind": "linear", "width": 4}
CONVOLUTION = {"kind": "convolution", "width": 8, "kernel": 2}


@pytest.fixture
def digits():
    return load_experiment("digits")


def test_keys_are_dotted_or_in_sections_and_values_of_every_form_reach_the_experiment(digits, tmp_path):
    values = {
        "training": {"circuit_rate": {"float": [0.001, 0.1], "log": True}, "clip": {"float": [0.5, 1.2], "step": 0.25}},
        "model.registers": {"int": [1, 8], "log": True},
        "model": {"circuit": {"qubits": {"int": [2, 7], "step": 2}, "template": ["ring", "line"]}},
        "model.embedding": {"choices": [LINEAR, CONVOLUTION]},
        "scales": {"multiply": ["model.time_scale", "model.weight_scale"], "float": [0.5, 2]},
    }
    path = tmp_path / "space.yaml"
    path.write_text(dump_yaml(values))
    space = Space.read(path)
    assert space.description() == pickle.loads(pickle.dumps(Space.of(space.description()))).description()
    space.check(digits)
    grid = space.grid()
    assert len(grid) == len({tuple(point.items()) for point in grid}) == 3 * 3 * 3 * 3 * 2 * 2 * 3
    found = space.apply(digits, grid[-1])
    assert found.training.circuit_rate == 0.1
    assert found.training.clip == 1.0  # the highest that is on a step
    assert found.model.circuit.qubits == 6
    assert found.model.registers == 8
    assert found.model.circuit.template == "line"
    assert found.model.embedding.model_dump() == CONVOLUTION
    assert (found.model.time_scale, found.model.weight_scale) == (0.4, 0.4)
    assert (found.training.head_rate, found.training.epochs) == (digits.training.head_rate, digits.training.epochs)
    assert grid[len(grid) // 2]["training.circuit_rate"] == pytest.approx(0.01)


@pytest.mark.parametrize("name", sorted(find_experiments()))
def test_without_a_file_the_space_lies_around_the_experiment_and_holds_it(name):
    experiment = load_experiment(name, ("training.validation_fraction=0.1",))
    space = Space.around(experiment)
    space.check(experiment)
    own = space.own_point(experiment)
    assert {"training.circuit_rate", "training.head_rate"} <= own.keys()
    assert space.apply(experiment, own) == experiment
    for dimension in space.dimensions:
        low, high = dimension.bounds
        assert math.sqrt(low * high) == pytest.approx(own[dimension.name], rel=1e-4)


def test_the_own_point_is_only_there_where_the_space_holds_it(digits):
    assert Space.of({"training.epochs": {"int": [1, 29]}}).own_point(digits) is None
    assert Space.of({"training.epochs": {"int": [1, 40], "step": 2}}).own_point(digits) is None
    assert Space.of({"training.epochs": {"int": [2, 40], "step": 2}}).own_point(digits) == {"training.epochs": 30}
    assert Space.of({"model.circuit.template": ["line"]}).own_point(digits) is None
    assert Space.of({"r": {"multiply": ["training.clip"], "float": [0.5, 2]}}).own_point(digits) == {"r": 1.0}


def test_a_value_that_needs_another_dimension_is_allowed(digits):
    Space.of({"model.directions": ["both", "forward"], "model.registers": {"int": [1, 2]}}).check(digits)
    with pytest.raises(ConfigurationError, match="needs at least 2 registers"):
        Space.of({"model.directions": ["both", "forward"]}).check(digits)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "at least one key"),
        ({"training.circuit_rat": {"float": [1, 2]}}, r"unknown key training\.circuit_rat; valid keys: batch_size"),
        ({"seed": 3}, r"seed: expected a list of choices, or \{float: \[LOW, HIGH\]\}"),
        ({"training": {"clip": {}}}, r"training\.clip: exactly one of float, int, choices is needed \(got none\)"),
        ({"seed": {"int": [1, 2], "choices": [1]}}, r"exactly one of .* \(got int and choices\)"),
        ({"seed": {"int": [3, 2]}}, r"the lowest number comes first, and the highest is larger \(got \[3, 2\]\)"),
        ({"seed": {"int": [3]}}, "seed: int: .*at least 2 items"),
        ({"seed": {"int": [3, 4.5]}}, "int.1: Input should be a valid integer"),
        ({"seed": {"float": [1, 2]}}, "seed: Input should be a valid integer"),
        ({"seed": {"int": [1, 9], "stepp": 2}}, "unknown key stepp; valid keys: choices, float, int, log"),
        ({"seed": {"int": [1, 9], "step": 0.5}}, "step: a whole number"),
        ({"seed": []}, "seed: choices: .*at least 1 item"),
        ({"seed": [1, 1]}, "choices: each only once"),
        ({"seed": {"choices": [1, 2], "log": True}}, "log is of numbers"),
        ({"training.clip": {"float": [0, 1], "log": True}}, "log needs numbers above 0"),
        ({"training.clip": {"float": [1, 2], "log": True, "step": 0.1}}, "log and step exclude each other"),
        ({"training.clip": {"float": [0.5, float("inf")]}}, "finite number"),
        ({"training.epochs": {"int": [0, 3]}}, r"training\.epochs: Input should be greater than or equal to 1"),
        ({"training.epochs": [1, "two"]}, r"training\.epochs: Input should be a valid integer \(got 'two'\)"),
        ({"r": {"multiply": ["backend"], "float": [1, 2]}}, "r: backend is no number to multiply"),
        ({"r": {"multiply": ["training.clip"]}}, "r: exactly one of"),
        ({"model.embedding": [LINEAR], "model.embedding.width": [1, 2]}, r"model\.embedding is changed twice"),
        ({"training.clip": [1.0], "r": {"multiply": ["training.clip"], "float": [1, 2]}}, "clip is changed twice"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(digits, values, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Space.of(values).check(digits)
    assert "\n" not in str(caught.value)


def test_a_search_needs_validation_samples():
    experiment = load_experiment("digits", ("training.validation_fraction=0.0",))
    with pytest.raises(ConfigurationError, match=r"training\.validation_fraction is 0"):
        Space.around(experiment).check(experiment)


def test_a_grid_is_bounded():
    points = {"points": 1000}
    space = Space.of({f"training.{key}": {"float": [1, 2], **points} for key in ("clip", "head_rate")})
    with pytest.raises(ConfigurationError, match="a grid of 1,000,000 points; at most 100,000"):
        space.grid()
