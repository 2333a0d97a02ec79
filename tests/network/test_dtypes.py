"""Whatever dtype and size torch users bring: computed in floating point, or refused in one line."""

import numpy as np
import pytest
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit

from qlam_qiskit.configuration import check
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network import MemoryConnector, MemoryNetwork
from qlam_qiskit.templates import load_template

REAL = [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]


def _connector(**options):
    network = MemoryNetwork(load_template("line", 2), 2, **options)
    return MemoryConnector(network, initial_weights=np.linspace(-1, 1, network.num_weights))


def _whole_numbers(connector, samples=3):
    """Draw inputs that every dtype holds exactly."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 2, (samples, connector.neural_network.num_inputs), generator=generator)


@pytest.mark.parametrize("weights", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("inputs", REAL)
def test_any_real_dtype_is_computed_in_floating_point(inputs, weights):
    connector = _connector()
    batch = _whole_numbers(connector).to(inputs)
    connector.weight.data = connector.weight.data.to(weights)
    exact = _connector().double()
    exact.weight.data = connector.weight.data.double()
    values = connector(batch)
    assert values.dtype == torch.promote_types(inputs, weights)
    tolerance = max(1e-6 if weights != torch.float64 else 1e-12, 4 * torch.finfo(values.dtype).eps)
    torch.testing.assert_close(values.double(), exact(batch.double()), rtol=0, atol=tolerance)
    values.double().square().sum().backward()
    exact(batch.double()).square().sum().backward()
    assert connector.weight.grad.dtype == weights
    tolerance = max(1e-5, 16 * torch.finfo(weights).eps) if weights != torch.float64 else max(1e-12, tolerance)
    torch.testing.assert_close(connector.weight.grad.double(), exact.weight.grad, rtol=tolerance, atol=tolerance)


def test_angles_and_queries_may_differ_in_dtype():
    connector = _connector()
    network = connector.neural_network
    angles, queries = network.split_inputs(_whole_numbers(connector))
    expected = connector(angles.float(), queries.float())
    torch.testing.assert_close(connector(angles, queries.half()), expected, rtol=0, atol=0)
    assert connector(angles.float(), queries.double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_numbers_are_refused(dtype):
    connector = _connector()
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(CircuitError, match=rf"^angles are real numbers \(radians\), not {name}$"):
        connector(_whole_numbers(connector).to(dtype))
    with pytest.raises(ConfigurationError, match=f"^tokens are real numbers, not {name}$"):
        _model()(torch.zeros(2, 5, 3, dtype=dtype))


def test_autocast_changes_no_number_of_the_memory():
    connector = _connector()
    batch = _whole_numbers(connector).float().requires_grad_()

    def gradient():
        values = connector(batch)
        return values, *torch.autograd.grad(values.square().sum(), batch, create_graph=True)

    expected = gradient()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradient()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    slopes = [torch.autograd.grad(each[1].square().sum(), connector.weight)[0] for each in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-5)


def _model(**sections):
    torch.manual_seed(0)
    values = {"circuit": {"template": "line", "qubits": 2}, "embedding": {"width": 4, "kernel": 2}, **sections}
    return QLAM(check(ModelSettings, values, "test"), steps=5, token_size=3, num_classes=3)


@pytest.mark.parametrize("convert", ["bfloat16", "half", "double"])
@pytest.mark.parametrize(
    "sections", [{}, {"layers": 2, "time_scale": 1.0, "readout": {"normalize": "batch", "times": 2}}]
)
def test_a_model_computes_in_every_floating_dtype(convert, sections):
    single, other = _model(**sections), getattr(_model(**sections), convert)()
    tokens = torch.randint(0, 2, (40, 5, 3), generator=torch.Generator().manual_seed(1))
    logits = other(tokens)
    assert logits.dtype == other.head.weight.dtype
    rough = convert != "double"
    torch.testing.assert_close(logits.float(), single(tokens), rtol=0.3 if rough else 1e-4, atol=0.3 if rough else 1e-4)
    logits.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == p.dtype and p.grad.isfinite().all() for p in other.parameters())


def test_double_is_double_from_end_to_end():
    connector = _connector().double()
    batch = torch.randn(2, connector.neural_network.num_inputs, dtype=torch.float64)
    assert torch.autograd.gradcheck(connector, batch.requires_grad_(), fast_mode=True)
    single = _connector()
    back = _connector().double().float()
    torch.testing.assert_close(back(batch.float()), single(batch.float()), rtol=0, atol=0)


@pytest.mark.parametrize("normalize", [None, "batch"])
def test_a_model_left_empty_and_loaded_again_is_the_same(normalize):
    sections = {"time_scale_decades": 1.0, "registers": 2, "noise": {"pauli": 0.1}, "readout": {"normalize": normalize}}
    model = _model(**sections)
    other = _model(**sections).to("meta").to_empty(device="cpu")
    for buffer in other.buffers():
        buffer.fill_(float("nan"))
    other.load_state_dict(model.state_dict())
    tokens = torch.randn(4, 5, 3)
    for mode in (True, False):
        answers = []
        for each in (model, other):
            torch.manual_seed(2)
            answers.append(each.train(mode)(tokens))
        torch.testing.assert_close(*answers, rtol=0, atol=0)


def _odd_memory(inputs, weights, query):
    """Make a memory with or without inputs, weights and query angles."""
    update, turn = QuantumCircuit(1), QuantumCircuit(1)
    x, w, a = ParameterVector("x", inputs), ParameterVector("w", weights), ParameterVector("a", query)
    for parameter in (*x, *w):
        update.rx(parameter, 0)
    update.ry(0.4, 0)
    for parameter in a:
        turn.ry(parameter, 0)
    return MemoryCircuit(update, x, w, turn, a)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (1, 0, 0)])
def test_a_memory_may_lack_inputs_weights_or_query_angles(sizes):
    memory = _odd_memory(*sizes)
    network = MemoryNetwork(memory, 3, readout=Readout(1, "z_strings", 1))
    connector = MemoryConnector(network, initial_weights=np.full(network.num_weights, 0.2))
    turned = 3 * (0.2 * sizes[1])
    circuit = memory.unroll(3)
    assert network.num_inputs == 3 * sizes[0] + sizes[2]
    batch = torch.zeros(2, network.num_inputs, requires_grad=True)
    values = connector(batch)
    assert values.shape == (2, 1)
    if sizes[0] == 0:
        assert turned
        assert circuit.num_parameters == sizes[1] + sizes[2]
    torch.testing.assert_close(connector(batch[0]), values[0])
    torch.testing.assert_close(connector(torch.zeros(2, 3, network.num_inputs))[1, 2], values[0])
    values.sum().backward()
    assert batch.grad.shape == batch.shape
    if network.num_inputs == 0:
        torch.testing.assert_close(connector()[0], values[0])
        np.testing.assert_allclose(network.forward(None, np.full(1, 0.2))[0], values[0].detach(), atol=1e-6)
    assert network.backward(batch.detach().numpy(), np.full(network.num_weights, 0.2)) is not None


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_an_empty_batch_gives_an_empty_result_with_gradients(shape):
    connector = _connector()
    batch = torch.zeros(*shape, connector.neural_network.num_inputs, requires_grad=True)
    values = connector(batch)
    assert values.shape == (*shape, 4)
    values.sum().backward()
    assert not connector.weight.grad.any()
    assert batch.grad.shape == batch.shape


def test_a_model_answers_an_empty_batch():
    for queries in ({}, {"kind": "last_token"}):
        model = _model(queries=queries, readout={"times": 2})
        logits = model(torch.zeros(0, 5, 3))
        assert logits.shape == (0, 1, 3)
        logits.sum().backward()
        assert all(p.grad is not None and not p.grad.any() for p in model.parameters())
