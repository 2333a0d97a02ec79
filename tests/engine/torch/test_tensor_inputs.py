"""Inputs that are a tensor stay one: the torch engines give the numbers and gradients of the same array, uncopied."""

import numpy as np
import pytest
import torch
from gpu import needs_gpu
from open_memories import random_open_memory
from qiskit.circuit import ParameterVector, QuantumCircuit
from references import random_arguments

from qlam_qiskit.engine import Readout
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.templates import load_template

DEVICES = ["cpu:0", pytest.param("cuda", marks=needs_gpu)]
READ = (2, 4)


def product_of_angles():
    """Return a memory whose angle is no affine function of its inputs, so that the host evaluates it."""
    x, theta = ParameterVector("x", 2), ParameterVector("theta", 1)
    update = QuantumCircuit(2)
    update.ry(x[0] * x[1] + theta[0], 0)
    update.rzz(x[1], 0, 1)
    update.ry(theta[0], 1)
    return MemoryCircuit(update, inputs=x, weights=theta)


MEMORIES = {
    "ring": lambda: load_template("ring", 3),
    "damped_ring": lambda: load_template("damped_ring", 3),
    "product": product_of_angles,
    "random": lambda: random_open_memory(np.random.default_rng(3)),
}


def engine_of(memory, device, precision="float64"):
    return (TorchOpenEngine if memory.is_open else TorchEngine)(memory, precision=precision, device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MEMORIES)
def test_a_tensor_gives_the_numbers_of_the_array(name, device):
    rng = np.random.default_rng(5)
    engine = engine_of(MEMORIES[name](), device)
    inputs, *others = random_arguments(engine, rng, samples=3, steps=5, registers=2, queries=2, readouts=2)
    values, tape = engine.forward(inputs, *others, readout_steps=READ)
    cotangent = rng.normal(size=values.shape)
    expected = engine.backward(tape, cotangent)
    tensor = torch.from_numpy(inputs).to(engine.device).requires_grad_()
    found, tape = engine.forward(tensor, *others, readout_steps=READ)
    gradients = engine.backward(tape, cotangent)
    np.testing.assert_array_equal(found, values)
    assert isinstance(gradients.inputs, torch.Tensor)
    assert gradients.inputs.device.type == engine.device.type
    assert gradients.inputs.dtype == tensor.dtype and not gradients.inputs.requires_grad
    np.testing.assert_array_equal(gradients.inputs.cpu().numpy(), expected.inputs)
    np.testing.assert_array_equal(gradients.weights, expected.weights)
    np.testing.assert_array_equal(gradients.queries, expected.queries)


@pytest.mark.parametrize("name", MEMORIES)
def test_a_tensor_of_another_shape_is_refused(name):
    engine = engine_of(MEMORIES[name](), "cpu:0")
    _, *others = random_arguments(engine, np.random.default_rng(5), samples=3, steps=5, registers=2)
    with pytest.raises(CircuitError, match="inputs must be"):
        engine.forward(torch.zeros(3, 5, 2, 17), *others)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("name", ["ring", "damped_ring"])
def test_a_connector_whose_angles_are_beside_the_engine_copies_none(name, pooling, device, monkeypatch):
    memory = MEMORIES[name]()
    readout = Readout(3, "z_strings", pooling=pooling)
    seen = []
    results = []
    for engine in engine_of(memory, device, "float32"), ExactExecution.of(memory, readout, READ, threads=1).engine:
        forward = engine.forward
        monkeypatch.setattr(
            engine, "forward", lambda inputs, *rest, f=forward, **o: seen.append(type(inputs)) or f(inputs, *rest, **o)
        )
        execution = ExactExecution(engine, readout, READ)
        network = MemoryNetwork(memory, 5, readout=readout, registers=2, readout_steps=READ, execution=execution)
        initial = np.random.default_rng(1).normal(size=network.num_weights)
        place = torch.device(getattr(engine, "device", "cpu"))
        connector = MemoryConnector(network, initial_weights=initial).to(place)
        generator = torch.Generator().manual_seed(0)
        shapes = (4, 5, 2, memory.num_inputs), (1, 1, 2, 1, memory.num_query_angles)
        given = [torch.randn(shape, generator=generator).to(place).requires_grad_() for shape in shapes]
        values = connector(*given)
        values.square().sum().backward()
        results.append([values.detach(), *(part.grad for part in (*given, *connector.parameters()))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-4, atol=1e-5)
    averages_pure_states = pooling == "mean" and not memory.is_open
    assert seen == [np.ndarray if averages_pure_states else torch.Tensor, np.ndarray]
