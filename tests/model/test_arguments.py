"""What a model is called with and cannot take is one line, before anything is computed."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit

from qlam_qiskit import QLAM, ModelSettings
from qlam_qiskit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": "ring"}, "a model's settings are a ModelSettings or a mapping of its keys, not str"),
        ({"settings": {"heads": 2}}, "model: unknown key heads: it is called registers now"),
        ({"settings": {"circuit": "ring"}}, "model: circuit: expected a mapping of keys to values (got 'ring')"),
        ({"circuit": 5}, "a model's circuit is a MemoryCircuit or a template's name, not int"),
        ({"circuit": QuantumCircuit(2)}, "not QuantumCircuit; MemoryCircuit(update, inputs, weights) says"),
        ({"circuit": "rings"}, "unknown circuit template 'rings'"),
        ({"steps": 0}, "steps: at least 1, not 0"),
        ({"steps": "5"}, "steps: a whole number, not '5'"),
        ({"classes": 0}, "classes: at least 1, not 0"),
        ({"token_size": True}, "token_size: a whole number, not True"),
        ({"answers": 1.5}, "answers: a whole number, not 1.5"),
    ],
)
def test_a_model_that_cannot_be(changes, said):
    arguments = {"settings": None, "circuit": "line", "steps": 5, "classes": 2, **changes}
    with pytest.raises(ConfigurationError) as error:
        QLAM(arguments.pop("settings"), **arguments)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (torch.zeros(2, 4, 1), "tokens must be (samples, 5, 1), not (2, 4, 1)"),
        (torch.zeros(2, 5, 3), "tokens must be (samples, 5, 1), not (2, 5, 3)"),
        (torch.zeros(2, 5), "tokens must be (samples, 5, 1), not (2, 5)"),
        (torch.zeros(2, 5, 1, dtype=torch.cfloat), "tokens are real numbers, not complex64"),
        (np.zeros((2, 5, 1)), "tokens are a torch tensor, not ndarray"),
    ],
    ids=["steps", "numbers", "dimensions", "complex", "numpy"],
)
def test_tokens_that_do_not_fit(tokens, said):
    with pytest.raises(ConfigurationError) as error:
        QLAM(circuit="line", steps=5, classes=2)(tokens)
    assert str(error.value) == said


def test_settings_may_be_a_mapping():
    torch.manual_seed(0)
    model = QLAM({"registers": 2}, circuit="line", steps=3, classes=2)
    torch.manual_seed(0)
    same = QLAM(ModelSettings(registers=2), circuit="line", steps=np.int64(3), classes=2)
    tokens = torch.ones(1, 3, 1)
    assert torch.equal(model(tokens), same(tokens))
