"""Registers that read backwards, and readings over spans, in the whole model and in its circuits."""

import numpy as np
import pytest
import torch

from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.sampling import readouts_from_emissions, readouts_from_probabilities, sampler_pubs

SIZES = {"steps": 5, "token_size": 2, "classes": 4}


def make(template="ring", **sections):
    torch.manual_seed(0)
    values = {"circuit": {"template": template, "qubits": 2}, "registers": 3, "time_scale": 0.5, **sections}
    values.setdefault("embedding", {"kind": "linear", "width": 4})
    return QLAM(check(ModelSettings, values, "test"), **SIZES)


@pytest.mark.parametrize("template", ["ring", "damped_line"])
@pytest.mark.parametrize("queries", ["learned", "last_token"])
def test_the_last_registers_see_the_sequence_reversed(template, queries):
    sections = {"queries": {"kind": queries}, "readout": {"kind": "z_strings", "times": 3}}
    model, forward = make(template, directions="both", **sections), make(template, **sections)
    tokens = torch.randn(4, 5, 2)
    size = model.layers[0].readout_size // 3
    read, ahead, back = model.read(tokens), forward.read(tokens), forward.read(tokens.flip(1))
    torch.testing.assert_close(read[..., : 2 * size], ahead[..., : 2 * size])
    torch.testing.assert_close(read[..., 2 * size :], back[..., 2 * size :])


def test_a_layer_in_between_gives_readouts_in_time_order():
    """At each step the register that reads backwards knows that token and those after it, and no other."""
    inner = make(directions="both", layers=2).layers[0]
    tokens = torch.randn(1, 5, 2)
    changed = tokens.clone()
    changed[:, 1] += 1.0
    size = inner.readout_size // 3
    moved = (inner(changed) - inner(tokens)).abs()
    ahead, back = moved[0, :, : 2 * size].amax(1), moved[0, :, 2 * size :].amax(1)
    assert (ahead > 1e-4).tolist() == [False, True, True, True, True]
    assert (back > 1e-4).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("template", ["ring", "damped_line"])
def test_circuits_give_the_models_readouts(template, pooling):
    readout = {"kind": "z_strings", "times": 2, "pooling": pooling}
    model = make(template, directions="both", readout=readout)
    tokens, shots = torch.randn(1, 5, 2), 4000
    pubs = sampler_pubs(model, tokens, shots=shots)
    assert len(pubs) == 3 * (5 if pooling == "mean" else 2)
    results = [result.data.meas for result in sampled(pubs)]
    tables = [np.array([np.bincount(bits.array.ravel(), minlength=4) / shots]) for bits in results]
    torch.testing.assert_close(readouts_from_probabilities(model, tables), model.read(tokens), rtol=0, atol=0.1)


def test_one_circuit_of_a_register_has_all_emissions():
    model = make("damped_line", directions="both", readout={"kind": "emissions", "times": 2})
    tokens = torch.randn(2, 5, 2)
    pubs = sampler_pubs(model, tokens, shots=4000)
    assert len(pubs) == 3
    found = readouts_from_emissions(model, [result.data.emission for result in sampled(pubs)])
    expected = model.read(tokens)
    assert expected.shape == (2, 2, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
    model.read(tokens).sum().backward()
    assert not model.layers[0].query_angles.requires_grad
    assert model.layers[0].memory._weights.grad.abs().min() > 0


def sampled(pubs):
    with open_backend(make_spec("here", {"kind": "aer", "method": "density_matrix"}, "test"), seed=1) as backend:
        ready = [(backend.isa(pub.circuit), pub.parameter_values, pub.shots) for pub in pubs]
        return backend.sampler().run(ready).result()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"directions": "both", "registers": 1}, "needs at least 2 registers"),
        ({"readout": {"kind": "emissions"}}, "circuit 'ring' emits nothing"),
        ({"readout": {"kind": "emissions"}, "queries": {"count": 2}}, "leave queries out"),
        ({"readout": {"pooling": "max"}}, r"readout\.pooling.*'last' or 'mean'"),
    ],
)
def test_what_makes_no_sense_is_one_line(sections, message):
    with pytest.raises(ConfigurationError, match=message):
        make(**sections)
