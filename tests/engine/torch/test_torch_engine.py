"""The torch engine on torch's CPU device: the exact engine's numbers, for every circuit, shape and chunk."""

import numpy as np
import pytest
import torch
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib
from references import assert_slopes, qiskit_states, random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.errors import BackendError, CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template

TEMPLATES = ("ring", "line", "brickwork", "ising", "reuploading")
GATES = [
    gate
    for gate in lib.get_standard_gate_name_mapping().values()
    if gate.name not in ("measure", "reset", "delay", "global_phase")
]
GATES += [lib.C3XGate(), lib.C4XGate(), lib.RCCXGate(), lib.CRYGate(0.0, ctrl_state=0), lib.MCPhaseGate(0.0, 3)]


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def _memory(template="ring", qubits=3):
    return load_template(template, qubits)


def _pair(memory, precision="float64", **options):
    return ExactEngine(memory, precision=precision), TorchEngine(memory, precision=precision, device="cpu", **options)


def _run(engine, arguments, cotangent, **options):
    """Return the probabilities and the three gradients."""
    values, tape = engine.forward(*arguments, **options)
    gradients = engine.backward(tape, cotangent)
    return values, gradients.inputs, gradients.weights, gradients.queries


def _assert_alike(memory, arguments, rng, tolerance=1e-12, **options):
    exact, torch_engine = _pair(memory)
    cotangent = rng.normal(size=exact.forward(*arguments, **options)[0].shape)
    expected = _run(exact, arguments, cotangent, **options)
    for part, other in zip(_run(torch_engine, arguments, cotangent, **options), expected, strict=True):
        assert part.shape == other.shape and part.dtype == other.dtype
        np.testing.assert_allclose(part, other, rtol=0, atol=tolerance * max(1.0, abs(other).max(initial=0)))
    states = [engine.statevector(arguments[0][:, :, 0], arguments[1][0]) for engine in (torch_engine, exact)]
    np.testing.assert_allclose(*states, rtol=0, atol=tolerance)


@pytest.mark.parametrize("qubits", [2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("template", TEMPLATES)
def test_templates_of_any_size_give_the_exact_engines_numbers(template, qubits, rng):
    memory = _memory(template, qubits)
    exact, _ = _pair(memory)
    arguments = random_arguments(exact, rng, samples=3, steps=6, registers=2, queries=2, readouts=3)
    _assert_alike(memory, arguments, rng, readout_steps=[4, 0, 2])


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 1, 3, 1), (2, 9, 1, 3)])
def test_samples_steps_heads_and_queries_of_any_number(shape, rng):
    samples, steps, registers, queries = shape
    memory = _memory()
    arguments = random_arguments(_pair(memory)[0], rng, samples, steps, registers, queries, readouts=1)
    _assert_alike(memory, arguments, rng)
    every = random_arguments(_pair(memory)[0], rng, samples, steps, registers, queries, readouts=steps)
    _assert_alike(memory, every, rng, readout_steps=list(range(steps))[::-1])


@pytest.mark.parametrize("lead", [(1, 1), (5, 1), (1, 2), (5, 2)])
def test_queries_broadcast_over_samples_and_readouts(lead, rng):
    inputs, weights, queries = random_arguments(_pair(_memory())[0], rng, samples=5, registers=2, queries=2, readouts=2)
    queries = queries[: lead[0], : lead[1]]
    _assert_alike(_memory(), (inputs, weights, queries), rng, readout_steps=[1, 3])


@pytest.mark.parametrize("steps_in_memory", [1, 2, 3, 7])
@pytest.mark.parametrize("template", ["ring", "brickwork"])
def test_chunks_do_not_show(template, steps_in_memory, rng):
    memory = _memory(template)
    whole = TorchEngine(memory, precision="float64", device="cpu")
    arguments = random_arguments(whole, rng, samples=2, steps=7, registers=2, queries=3, readouts=4)
    read = [6, 1, 2, 5]
    of_one_step = whole._step.bytes_of(4, torch.float64)
    cut = TorchEngine(memory, precision="float64", device="cpu", chunk_bytes=steps_in_memory * of_one_step)
    cotangent = rng.normal(size=(2, 4, 2, 3, 8))
    expected = _run(whole, arguments, cotangent, readout_steps=read)
    for part, other in zip(_run(cut, arguments, cotangent, readout_steps=read), expected, strict=True):
        np.testing.assert_allclose(part, other, rtol=0, atol=1e-13)


def _angle(rng, inputs, weights):
    """Draw an expression of the parameters, affine or not."""
    (x, y), (v, w), c = rng.choice(inputs, 2), rng.choice(weights, 2), float(rng.normal())
    choices = [x, c, w, x + c, 0.5 * x - y + 3 * w, v - w, x * w, x.sin(), (np.pi - x) * (np.pi - y), (w * w + 1).log()]
    return choices[rng.integers(len(choices))]


def _random_memory(seed, gates):
    """Build a memory of the given gates in places and at angles that ``seed`` draws, and a query with a CX."""
    rng = np.random.default_rng(seed)
    inputs, weights = ParameterVector("x", 3), ParameterVector("w", 2)
    update = QuantumCircuit(5)
    for qubit in range(5):
        update.ry(_angle(rng, inputs, weights), qubit)
    for gate in gates:
        angles = [_angle(rng, inputs, weights) for _ in gate.params]
        if isinstance(gate, lib.MCPhaseGate):
            gate = lib.MCPhaseGate(angles[0], gate.num_ctrl_qubits)
        elif angles:
            open_ = {"ctrl_state": gate.ctrl_state} if hasattr(gate, "ctrl_state") else {}
            gate = gate.base_class(*angles, **open_)
        update.append(gate, rng.permutation(5)[: gate.num_qubits].tolist())
    update.global_phase = inputs[0] * 0.3 + weights[1]
    used = update.parameters
    alpha = ParameterVector("alpha", 3)
    query = QuantumCircuit(5)
    query.rx(alpha[0], 0)
    query.rzz(alpha[1] * alpha[2], 0, 3)
    query.cx(3, 1)
    query.ry(alpha[2], 1)
    return MemoryCircuit(update, [p for p in inputs if p in used], [p for p in weights if p in used], query, alpha)


@pytest.mark.parametrize("seed", range(24))
def test_random_circuits_of_every_supported_gate(seed, rng):
    shuffled = np.random.default_rng(seed % 3).permutation(np.arange(len(GATES)))
    memory = _random_memory(seed, [GATES[k] for k in np.array_split(shuffled, 8)[seed // 3]])
    arguments = random_arguments(_pair(memory)[0], rng, samples=2, steps=3, registers=2, queries=2, readouts=2)
    _assert_alike(memory, arguments, rng, tolerance=1e-10, readout_steps=[0, 2])
    inputs, weights = arguments[0][:, :, 0], arguments[1][0]
    states = _pair(memory)[1].statevector(inputs, weights)
    np.testing.assert_allclose(states, qiskit_states(memory, inputs, weights), rtol=0, atol=1e-9)


@pytest.mark.parametrize("template", ["ring", "reuploading"])
def test_gradients_are_slopes(template, rng):
    _, engine = _pair(_memory(template))
    arguments = random_arguments(engine, rng, samples=3, steps=5, registers=2, queries=2, readouts=2, size=0.5)
    cotangent = rng.normal(size=(3, 2, 2, 2, 8))
    _, *gradients = _run(engine, arguments, cotangent, readout_steps=[1, 4])

    def value(*changed):
        return (engine.forward(*changed, readout_steps=[1, 4])[0] * cotangent).sum()

    assert_slopes(value, arguments, gradients, rng)


def test_circuits_without_inputs_weights_or_query_angles_run(rng):
    x = Parameter("x")
    bare, turning, swapped = QuantumCircuit(2), QuantumCircuit(2), QuantumCircuit(2)
    bare.h(0)
    turning.ry(x, 1)
    swapped.x(0)
    swapped.swap(0, 1)
    for memory in (
        MemoryCircuit(bare, [], [], QuantumCircuit(2), []),
        MemoryCircuit(swapped, [], [], QuantumCircuit(2), []),
        MemoryCircuit(turning, [x], [], QuantumCircuit(2), []),
        MemoryCircuit(turning, [], [x]),
        MemoryCircuit(QuantumCircuit(2), [], [], turning, [x]),
    ):
        _assert_alike(memory, random_arguments(_pair(memory)[0], rng), rng)


def test_rotations_that_end_and_begin_a_step_keep_their_order(rng):
    """X and Y of one qubit do not commute, across steps and before a query too."""
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    update = QuantumCircuit(2)
    update.ry(x[0], 0)
    update.rx(w[0], 0)
    update.rzz(x[1], 0, 1)
    update.rx(x[0], 0)
    update.rz(w[1], 1)
    update.ry(w[1], 1)
    memory = MemoryCircuit(update, x, w)
    _assert_alike(memory, random_arguments(_pair(memory)[0], rng, steps=5, readouts=2), rng, readout_steps=[1, 4])


@pytest.mark.parametrize("template", ["ring", "brickwork", "reuploading"])
def test_single_precision_gradients_are_close_to_double_over_784_steps(template, rng):
    memory = _memory(template, 4)
    exact, single = ExactEngine(memory, precision="float64"), TorchEngine(memory, device="cpu")
    inputs, weights, queries = random_arguments(exact, rng, samples=4, steps=784)
    inputs = inputs.astype(np.float32)
    cotangent = rng.normal(size=(4, 1, 1, 1, 16))
    expected = _run(exact, (inputs, weights, queries), cotangent)
    for part, other in zip(_run(single, (inputs, weights, queries), cotangent), expected, strict=True):
        assert part.dtype == np.float32
        assert np.linalg.norm(part - other) < 1e-3 * np.linalg.norm(other)


def test_a_tape_serves_several_cotangents_and_inputs_are_left_alone(rng):
    _, engine = _pair(_memory())
    arguments = random_arguments(engine, rng)
    before = [part.copy() for part in arguments]
    values, tape = engine.forward(*arguments)
    first = engine.backward(tape, values, overwrite_inputs=True)
    second = engine.backward(tape, values)
    for name in ("inputs", "weights", "queries"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for part, kept in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(part, kept)


def test_inputs_that_cannot_be_written_or_share_their_memory_are_taken(rng):
    exact, engine = _pair(_memory(), "float32")
    inputs, weights, queries = random_arguments(engine, rng)
    inputs = np.broadcast_to(inputs.astype(np.float32)[:1], inputs.shape)
    queries.setflags(write=False)
    values, _ = engine.forward(inputs, weights, queries)
    np.testing.assert_allclose(values, exact.forward(inputs, weights, queries)[0], rtol=0, atol=1e-6)


def test_sixteen_qubits_run_and_seventeen_point_to_aer(rng):
    exact, engine = _pair(_memory("line", 16), "float32")
    arguments = random_arguments(engine, rng, samples=1, steps=2)
    cotangent = rng.normal(size=(1, 1, 1, 1, 1 << 16))
    for part, other in zip(_run(engine, arguments, cotangent), _run(exact, arguments, cotangent), strict=True):
        assert np.linalg.norm(part - other) < 1e-4 * np.linalg.norm(other)
    with pytest.raises(CircuitError, match=r"at most 16 qubits, not 17.*Aer"):
        TorchEngine(_memory("line", 17), device="cpu")


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        (0, (3, 4, 1, 5)),
        (0, (3, 4, 6)),
        (0, (0, 4, 1, 6)),
        (1, (1, 5)),
        (1, (2, 6)),
        (2, (3, 1, 1, 1, 5)),
        (2, (3, 1, 1, 0, 6)),
        (2, (2, 1, 1, 1, 6)),
        (2, (3, 2, 1, 1, 6)),
    ],
)
def test_a_shape_that_does_not_fit_is_said_as_the_exact_engine_says_it(part, shape, rng):
    exact, engine = _pair(_memory())
    arguments = random_arguments(engine, rng)
    arguments[part] = np.zeros(shape)
    said = []
    for each in (exact, engine):
        with pytest.raises(CircuitError) as raised:
            each.forward(*arguments)
        said.append(str(raised.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("steps", [[], [4], [-1], [1, 1]])
def test_readout_steps_lie_within_the_sequence(steps, rng):
    _, engine = _pair(_memory())
    with pytest.raises(CircuitError, match="different numbers from 0 to 3"):
        engine.forward(*random_arguments(engine, rng, readouts=max(1, len(steps))), readout_steps=steps)


def test_a_cotangent_of_another_shape_is_refused(rng):
    _, engine = _pair(_memory())
    _, tape = engine.forward(*random_arguments(engine, rng))
    with pytest.raises(CircuitError, match=r"cotangent has shape \(3, 8\)"):
        engine.backward(tape, np.zeros((3, 8)))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigurationError, match=r"float16.*float32, float64"):
        TorchEngine(_memory(), precision="float16", device="cpu")


@pytest.fixture
def matmul():
    """Return torch's settings of matrix products on CUDA, put back afterwards."""
    settings = torch.backends.cuda.matmul
    yield settings
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    settings.fp32_precision = "none"


@pytest.mark.parametrize(
    "choose",
    [
        lambda settings: torch.set_float32_matmul_precision("high"),
        lambda settings: setattr(settings, "allow_tf32", True),
        lambda settings: setattr(settings, "fp32_precision", "tf32"),
        lambda settings: setattr(torch.backends, "fp32_precision", "tf32"),
        lambda settings: None,
    ],
)
def test_products_are_never_tf32_and_the_programs_setting_comes_back(choose, matmul, rng, monkeypatch):
    seen = set()
    bmm = torch.bmm

    def watched(*arguments):
        # To read this raises when torch's two interfaces disagree, as a product on CUDA may.
        seen.add((matmul.allow_tf32, matmul.fp32_precision == "tf32"))
        return bmm(*arguments)

    _, engine = _pair(_memory())
    choose(matmul)
    before = matmul.fp32_precision
    monkeypatch.setattr(torch, "bmm", watched)
    values, tape = engine.forward(*random_arguments(engine, rng))
    engine.backward(tape, values)
    assert seen == {(False, False)}
    assert matmul.fp32_precision == before


def test_a_full_gpu_is_one_line(rng, monkeypatch):
    _, engine = _pair(_memory())

    def full(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20.00 GiB.")

    monkeypatch.setattr(torch, "bmm", full)
    with pytest.raises(BackendError, match="make the batch smaller") as raised:
        engine.forward(*random_arguments(engine, rng))
    assert "\n" not in str(raised.value)
