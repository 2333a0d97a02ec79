"""A model's circuits as PUBs: exact probabilities of them give the model's own logits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Statevector

from qlam_qiskit.configuration import check
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.sampling import (
    estimator_pubs,
    readouts_from_expectations,
    readouts_from_probabilities,
    sampler_pubs,
)
from qlam_qiskit.model.settings import ReadoutSettings


def make(**sections):
    torch.manual_seed(0)
    values = {"circuit": {"template": "line", "qubits": 3}, "embedding": {"width": 5, "kernel": 3}, **sections}
    settings = check(ModelSettings, {"time_scale": 0.5, **values}, "test")
    return QLAM(settings, steps=5, token_size=2, classes=4)


def exact_probabilities(pub):
    rows = []
    for index in range(pub.parameter_values.shape[0]):
        circuit = pub.parameter_values.bind(pub.circuit, (index,))
        circuit.remove_final_measurements()
        rows.append(Statevector(circuit).probabilities())
    return np.array(rows)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"registers": 2, "queries": {"count": 2}},
        {"queries": {"kind": "last_token"}, "readout": {"kind": "z_strings", "times": 2}},
        {"queries": {"kind": "given", "size": 3}},
    ],
)
def test_exact_probabilities_give_the_models_logits(sections):
    model = make(**sections)
    tokens, query = torch.randn(3, 5, 2), torch.randn(3, 3)
    pubs = sampler_pubs(model, tokens, shots=100, query=query)
    assert all(pub.shots == 100 for pub in pubs)
    logits = model.classify(readouts_from_probabilities(model, [exact_probabilities(pub) for pub in pubs]))
    assert torch.allclose(logits, model(tokens, query), atol=1e-5)


@pytest.mark.parametrize("kind", ["probabilities", "z_strings"])
def test_exact_expectations_give_the_models_logits(kind):
    model = make(registers=2, readout={"kind": kind})
    tokens = torch.randn(3, 5, 2)
    pubs = estimator_pubs(model, tokens, lambda circuit: circuit, shots=100)
    assert all(0.1 < pub.precision < 0.1 * (1 + 1e-9) for pub in pubs)
    values = [
        result.data.evs
        for result in StatevectorEstimator(default_precision=0.0)
        .run([(pub.circuit, pub.observables, pub.parameter_values) for pub in pubs])
        .result()
    ]
    assert torch.allclose(model.classify(readouts_from_expectations(model, values)), model(tokens), atol=1e-5)


def test_several_layers_are_not_one_circuit():
    with pytest.raises(ConfigurationError, match="a model of 2 layers is not one circuit"):
        sampler_pubs(make(layers=2), torch.randn(1, 5, 2))


def test_a_reading_of_probabilities_is_what_the_documents_say_it_is():
    """y_j = 2^n p_j - 1 of Qiskit's own probabilities p_j of the sample's circuit, and not p_j."""
    model = make()
    tokens = torch.randn(3, 5, 2)
    [pub] = sampler_pubs(model, tokens, shots=100)
    expected = 2**3 * exact_probabilities(pub) - 1
    assert torch.allclose(model.read(tokens).double(), torch.from_numpy(expected).reshape(3, 1, 8), atol=1e-5)
    documents = [Path(__file__).parents[2] / "docs" / name for name in ("index.md", "tutorial.md")]
    for text in (Readout.__doc__, ReadoutSettings.__doc__, *(path.read_text() for path in documents)):
        assert "2^n p_j" in text and "- 1" in text
