"""MemoryConnector is the stock TorchConnector, only faster: the same values and gradients, checked by torch itself."""

import numpy as np
import pytest
import torch
from qiskit_machine_learning.connectors import TorchConnector

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.templates import load_template


def _network(readout_kind="z_strings", steps=3, registers=2, queries=2, readout_steps=(1, 2)):
    memory = load_template("reuploading", 2, {"layers": 1})
    readout = Readout(2, readout_kind)
    execution = ExactExecution.of(memory, readout, readout_steps, precision="float64")
    return MemoryNetwork(
        memory,
        steps,
        readout=readout,
        registers=registers,
        queries=queries,
        readout_steps=readout_steps,
        execution=execution,
    )


def _tensors(network, samples=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    memory = network.memory
    shapes = [
        (samples, network.steps, network.registers, memory.num_inputs),
        (1, 1, network.registers, network.queries, memory.num_query_angles),
    ]
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


def _initial(network):
    return np.random.default_rng(1).normal(size=network.num_weights)


@pytest.mark.parametrize("kind", ["z_strings", "probabilities"])
def test_values_and_gradients_are_the_stock_connectors(kind):
    network = _network(kind)
    inputs = torch.randn(4, network.num_inputs, generator=torch.Generator().manual_seed(0))
    results = []
    for make in (TorchConnector, MemoryConnector):
        connector = make(network, initial_weights=_initial(network))
        batch = inputs.clone().requires_grad_()
        values = connector(batch)
        (values**2).sum().backward()
        (weights,) = connector.parameters() if make is MemoryConnector else [connector.weight]
        results.append((values.detach(), batch.grad, weights.grad))
    for ours, stock in zip(results[1], results[0], strict=True):
        assert ours.shape == stock.shape
        torch.testing.assert_close(ours, stock, rtol=1e-4, atol=1e-4)  # the stock connector rounds to float32


def test_torch_itself_finds_the_gradients_right():
    network = _network()
    connector = MemoryConnector(network, initial_weights=_initial(network)).double()
    angles, queries = _tensors(network)

    def run(angles, queries, weights):
        return torch.func.functional_call(connector, {"_weights": weights}, (angles, queries))

    weights = connector.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (angles, queries, weights), fast_mode=True)
    assert torch.autograd.gradcheck(lambda *parts: run(*parts).square(), (angles, queries, weights), fast_mode=True)


def test_flat_inputs_and_separate_queries_are_the_same_call():
    network = _network()
    connector = MemoryConnector(network, initial_weights=_initial(network))
    angles, queries = (tensor.detach() for tensor in _tensors(network))
    flat = torch.cat([angles.flatten(1), queries.expand(3, *queries.shape[1:]).flatten(1)], dim=1)
    torch.testing.assert_close(connector(flat), connector(angles, queries).flatten(1), rtol=0, atol=0)
    torch.testing.assert_close(connector(flat[0]), connector(flat)[0], rtol=0, atol=0)


def test_a_state_dict_holds_the_weights_once_and_brings_them_back():
    network = _network()
    connector = MemoryConnector(network, initial_weights=_initial(network), weight_scale=0.1)
    (name,) = connector.state_dict()
    (parameter,) = connector.parameters()
    assert parameter is connector.weight
    assert connector.state_dict()[name].shape == (network.num_weights,)
    other = MemoryConnector(network, weight_scale=0.1)
    other.load_state_dict(connector.state_dict())
    angles, queries = _tensors(network)
    torch.testing.assert_close(other(angles, queries), connector(angles, queries), rtol=0, atol=0)


def test_the_weight_scale_scales_the_circuits_weights_and_their_gradient():
    network = _network()
    angles, queries = _tensors(network)
    plain = MemoryConnector(network, initial_weights=0.25 * _initial(network)).double()
    scaled = MemoryConnector(network, initial_weights=_initial(network), weight_scale=0.25).double()
    values = [connector(angles, queries) for connector in (plain, scaled)]
    for value in values:
        value.square().sum().backward()
    torch.testing.assert_close(*values, rtol=0, atol=1e-6)
    torch.testing.assert_close(scaled.weight.grad, 0.25 * plain.weight.grad, rtol=1e-5, atol=1e-6)


def test_it_trains():
    network = _network(registers=1, queries=1, readout_steps=(2,))
    connector = MemoryConnector(network, initial_weights=_initial(network)).double()
    angles, queries = (tensor.detach() for tensor in _tensors(network))
    target = torch.tensor([0.5, -0.5, 0.2], dtype=torch.float64)
    optimizer = torch.optim.Adam(connector.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (connector(angles, queries).flatten(1) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_angles_changed_between_forward_and_backward_are_noticed():
    network = _network()
    connector = MemoryConnector(network, initial_weights=_initial(network)).double()
    angles, queries = (tensor.detach() for tensor in _tensors(network))
    values = connector(angles, queries)
    angles += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()


@pytest.mark.parametrize("shape", [(4, 7), (3, 3, 2, 4), (13,)])
def test_flat_inputs_of_another_size_are_refused(shape):
    network = _network()
    with pytest.raises(CircuitError, match=rf"flat, \(\.\.\., {network.num_inputs}\)"):
        MemoryConnector(network)(torch.zeros(shape))
