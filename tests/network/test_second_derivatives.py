"""Derivatives of any order through the connector are the function's: gradient penalties, Hessians, torch.func."""

import copy
import pickle

import numpy as np
import pytest
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.backends import make_spec
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.network.selection import BackendExecutions

# torch.func.jacfwd loads torch code that torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def _memory():
    """Every kind of operation, with an angle that is no affine function of inputs and weights."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 3)
    update = QuantumCircuit(2)
    update.rx(x[0], 0)
    update.ry(2 ** x[1] * w[0].sin(), 1)
    update.rzz(x[2] + w[1], 0, 1)
    update.cx(0, 1)
    update.crx(w[2] ** 2, 1, 0)
    return MemoryCircuit(update, x, w)


def _connector(kind="z_strings", double=True):
    memory, readout = _memory(), Readout(2, kind)
    execution = ExactExecution.of(memory, readout, (0, 2), precision="float64")
    network = MemoryNetwork(
        memory, 3, readout=readout, registers=2, queries=2, readout_steps=(0, 2), execution=execution
    )
    weights = np.random.default_rng(1).normal(size=network.num_weights)
    connector = MemoryConnector(network, initial_weights=weights, weight_scale=0.7)
    return connector.double() if double else connector


def _arguments(connector, samples=2):
    network, generator = connector.neural_network, torch.Generator().manual_seed(0)
    shapes = (
        (samples, 3, 2, network.memory.num_inputs),
        (1, 1, 2, 2, network.memory.num_query_angles),
        (network.num_weights,),
    )
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


def _run(connector):
    def run(angles, queries, weights):
        return torch.func.functional_call(connector, {"_weights": weights}, (angles, queries))

    return run


@pytest.mark.parametrize("kind", ["z_strings", "probabilities"])
def test_torch_itself_finds_second_derivatives_right(kind):
    connector = _connector(kind)
    run = _run(connector)
    assert torch.autograd.gradgradcheck(run, _arguments(connector), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *parts: run(*parts).exp(), _arguments(connector), fast_mode=True)


def test_the_gradient_recorded_is_the_engines():
    connector = _connector()
    arguments = _arguments(connector)
    loss = _run(connector)(*arguments).square().sum()
    plain = torch.autograd.grad(loss, arguments, retain_graph=True)
    recorded = torch.autograd.grad(loss, arguments, create_graph=True)
    for ours, theirs in zip(recorded, plain, strict=True):
        torch.testing.assert_close(ours.detach(), theirs, rtol=0, atol=1e-12)


def test_a_gradient_penalty_trains_the_weights_along_its_slope():
    connector = _connector()
    angles, queries, weights = _arguments(connector)

    def penalty(weights):
        values = _run(connector)(angles, queries, weights)
        (gradient,) = torch.autograd.grad(values.sum(), angles, create_graph=True)
        return (gradient.norm() - 1).square()

    (slope,) = torch.autograd.grad(penalty(weights), weights)
    for k in range(3):
        step = 1e-5 * torch.eye(len(weights), dtype=torch.float64)[k]
        difference = (penalty(weights + step) - penalty(weights - step)) / 2e-5
        torch.testing.assert_close(slope[k], difference.detach(), rtol=0, atol=1e-7)


def test_hessians_of_every_interface_are_the_same():
    connector = _connector()
    angles, queries, weights = (part.detach() for part in _arguments(connector))

    def loss(weights):
        return _run(connector)(angles, queries, weights).square().sum()

    expected = torch.autograd.functional.hessian(loss, weights)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(torch.func.hessian(loss)(weights), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.func.jacrev(torch.func.grad(loss))(weights), expected, rtol=0, atol=1e-10)


def test_torch_func_maps_over_samples_and_differentiates():
    connector = _connector()
    flat = torch.randn(3, connector.neural_network.num_inputs, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda batch: connector(batch).sum(0), flat).transpose(0, 1)
    torch.testing.assert_close(torch.func.vmap(connector)(flat), connector(flat), rtol=0, atol=1e-12)
    for jacobian in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(torch.func.vmap(jacobian(connector))(flat), expected, rtol=0, atol=1e-10)


def test_copies_have_second_derivatives_too():
    connector = _connector()
    flat = torch.randn(2, connector.neural_network.num_inputs, dtype=torch.float64, requires_grad=True)

    def curvature(module):
        (gradient,) = torch.autograd.grad(module(flat).square().sum(), flat, create_graph=True)
        return torch.autograd.grad(gradient.sum(), flat)[0]

    for other in (copy.deepcopy(connector), pickle.loads(pickle.dumps(connector))):
        torch.testing.assert_close(curvature(other), curvature(connector), rtol=0, atol=0)


def test_without_samples_there_is_still_a_graph():
    connector = _connector()
    angles, queries, weights = _arguments(connector, samples=0)
    values = _run(connector)(angles, queries, weights)
    assert values.shape == (0, 2, 2, 2, 3)
    (gradient,) = torch.autograd.grad(values.sum(), weights, create_graph=True)
    assert not gradient.any()


def _on_backend(gradient):
    memory, readout = _memory(), Readout(2, "z_strings")
    spec = make_spec("here", {"kind": "aer", "gradient": gradient}, "test")
    execution = BackendExecutions(spec)(memory, readout, 1, (0,))
    network = MemoryNetwork(memory, 1, readout=readout, execution=execution)
    weights = np.random.default_rng(1).normal(size=network.num_weights)
    return MemoryConnector(network, initial_weights=weights).double()


def test_on_a_backend_the_adjoint_gradient_is_differentiated_and_others_say_that_they_cannot_be():
    flat = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)

    def curvature(connector):
        (gradient,) = torch.autograd.grad(connector(flat).sum(), flat, create_graph=True)
        return torch.autograd.grad(gradient.sum(), flat)[0]

    adjoint = _on_backend("adjoint")
    exact = MemoryNetwork(_memory(), 1, readout=Readout(2, "z_strings"))
    expected = MemoryConnector(exact, initial_weights=adjoint.weight.detach().numpy()).double()
    torch.testing.assert_close(curvature(adjoint), curvature(expected), rtol=0, atol=1e-6)
    with pytest.raises(ConfigurationError, match="gradient param_shift cannot be differentiated again"):
        curvature(_on_backend("param_shift"))
