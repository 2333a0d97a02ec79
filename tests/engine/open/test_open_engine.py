"""The open engine on batches: readings, blocks, threads, precision, memory, and what it refuses."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from qiskit.circuit import Instruction, Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate
from references import assert_slopes, random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.open import OpenEngine, open_engine
from qlam_qiskit.engine.torch import make_engine
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def _engine(template="damped_ring", qubits=2, precision="float64", **options):
    return OpenEngine(load_template(template, qubits), precision=precision, **options)


def _parts(gradients):
    return gradients.inputs, gradients.weights, gradients.queries


def test_a_memory_without_channels_is_the_exact_engines(rng):
    memory = load_template("damped_ring", 3, {"damped": []})
    pure, mixed = ExactEngine(memory, precision="float64"), OpenEngine(memory, precision="float64")
    arguments = random_arguments(pure, rng, samples=5, steps=9, registers=2, queries=2, readouts=2)
    cotangent = rng.normal(size=(5, 2, 2, 2, 8))
    found = []
    for engine in (pure, mixed):
        values, tape = engine.forward(*arguments, readout_steps=[8, 3])
        found.append((values, *_parts(engine.backward(tape, cotangent))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


def test_the_engine_is_chosen_by_the_circuit():
    assert isinstance(make_engine(load_template("damped_ring", 2)), OpenEngine)
    assert isinstance(make_engine(load_template("damped_ring", 2, {"damped": []})), ExactEngine)


@pytest.mark.parametrize("steps", [1, 4, 13])
def test_means_are_those_of_the_readings_and_their_gradients_slopes(steps, rng):
    engine = _engine()
    read = sorted({steps - 1, steps // 3})[::-1]
    inputs, weights, queries = random_arguments(engine, rng, samples=3, steps=steps, registers=2, queries=2)
    options = {"readout_steps": read, "mean": True, "emissions": True}
    values, tape = engine.forward(inputs, weights, queries, **options)
    single, every = engine.forward(inputs, weights, queries, readout_steps=range(steps), emissions=True)
    first = 0
    for step in sorted(read):
        span = slice(first, step + 1)
        np.testing.assert_allclose(values[:, read.index(step)], single[:, span].mean(axis=1), rtol=0, atol=1e-12)
        expected = every.emissions[:, span].mean(axis=1)
        np.testing.assert_allclose(tape.emissions[:, read.index(step)], expected, rtol=0, atol=1e-12)
        first = step + 1
    cotangent, of_emissions = rng.normal(size=values.shape), rng.normal(size=tape.emissions.shape)
    gradients = engine.backward(tape, cotangent, emissions=of_emissions)

    def value(*changed):
        values, tape = engine.forward(*changed, **options)
        return (values * cotangent).sum() + (tape.emissions * of_emissions).sum()

    queries = np.broadcast_to(queries, gradients.queries.shape)
    assert_slopes(value, (inputs, weights, queries), _parts(gradients), rng)


@pytest.mark.parametrize("samples", [1, 9, 17])
def test_each_sample_of_a_batch_gets_what_it_would_get_alone(samples, rng):
    engine = _engine(threads=1)
    inputs, weights, queries = random_arguments(engine, rng, samples=samples)
    cotangent = rng.normal(size=(samples, 1, 1, 1, 4))
    together, tape = engine.forward(inputs, weights, queries, emissions=True)
    gradients = engine.backward(tape, cotangent)
    total = 0.0
    for k in range(samples):
        one = slice(k, k + 1)
        alone, lone_tape = engine.forward(inputs[one], weights, queries[one], emissions=True)
        lone = engine.backward(lone_tape, cotangent[one])
        np.testing.assert_allclose(together[one], alone, rtol=0, atol=1e-14)
        np.testing.assert_allclose(tape.emissions[one], lone_tape.emissions, rtol=0, atol=1e-14)
        np.testing.assert_allclose(gradients.inputs[one], lone.inputs, rtol=0, atol=1e-13)
        total = total + lone.weights
    np.testing.assert_allclose(gradients.weights, total, rtol=0, atol=1e-12)


def test_threads_and_a_second_use_of_a_tape_change_nothing(rng, monkeypatch):
    monkeypatch.setattr(open_engine, "_SHORT", 0)
    engines = [_engine(threads=threads) for threads in (1, 3)]
    arguments = random_arguments(engines[0], rng, samples=70, steps=9, registers=2)  # blocks of one width
    cotangent = rng.normal(size=(70, 1, 2, 1, 4))
    runs = []
    for engine in engines:
        values, tape = engine.forward(*arguments)
        other, _ = engine.forward(arguments[0] + 1, *arguments[1:])
        for _ in range(2):
            runs.append((values, *_parts(engine.backward(tape, cotangent))))
        assert not np.array_equal(values, other)
    for run in runs[1:]:
        for part, expected in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize(("steps", "threads"), [(20, 1), (2000, 3)])
def test_only_long_batches_are_worth_a_second_thread(steps, threads, monkeypatch):
    used = []
    monkeypatch.setattr(open_engine, "map_runs", lambda run, cut, threads: used.append(threads))
    engine = _engine(threads=3)
    shapes = (16, steps, 1, 4), (1, engine.memory.num_weights), (1, 1, 1, 1, engine.memory.num_query_angles)
    values, tape = engine.forward(*(np.zeros(shape) for shape in shapes))
    engine.backward(tape, np.zeros(values.shape))
    assert used == [threads, threads]


def test_single_precision_stays_close_to_double_over_784_steps(rng):
    double, single = (_engine(qubits=3, precision=precision) for precision in ("float64", "float32"))
    inputs, weights, queries = random_arguments(double, rng, samples=4, steps=784, size=0.3)
    inputs = inputs.astype(np.float32)
    cotangent = rng.normal(size=(4, 1, 1, 1, 8))
    values = [engine.forward(inputs, weights, queries) for engine in (double, single)]
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=0, atol=1e-5)
    gradients = [engine.backward(tape, cotangent) for engine, (_, tape) in zip((double, single), values, strict=True)]
    for exact, rounded in zip(*map(_parts, gradients), strict=True):
        assert rounded.dtype == np.float32
        assert np.linalg.norm(rounded - exact) < 1e-3 * np.linalg.norm(exact)


def test_overwritten_inputs_hold_the_same_gradients(rng):
    engine = _engine(precision="float32", qubits=3)
    inputs, weights, queries = random_arguments(engine, rng, samples=18, steps=30, registers=2)
    inputs = inputs.astype(np.float32)
    values, tape = engine.forward(inputs, weights, queries)
    kept = engine.backward(tape, values).inputs
    _, tape = engine.forward(inputs, weights, queries)
    gradients = engine.backward(tape, values, overwrite_inputs=True)
    assert np.shares_memory(gradients.inputs, inputs)
    np.testing.assert_array_equal(gradients.inputs, kept)


@pytest.mark.parametrize("options", [{}, {"emissions": True}, {"mean": True}])
def test_memory_grows_with_the_square_root_of_the_sequence(options, rng):
    def peak(steps):
        engine = _engine(qubits=3, precision="float32", threads=1)
        inputs, weights, queries = random_arguments(engine, rng, samples=16, steps=steps)
        inputs = inputs.astype(np.float32)
        read = range(steps // 8 - 1, steps, steps // 8)
        tracemalloc.start()
        values, tape = engine.forward(inputs, weights, queries, readout_steps=read, **options)
        engine.backward(tape, values, emissions=tape.emissions, overwrite_inputs=True)
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    peak(8)
    assert peak(7840) < 4 * peak(784)


def test_inputs_in_a_gadget_are_run_too(rng):
    """The ancilla is then a qubit of the register."""
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(3, 1)
    update.ry(x, 1)
    update.append(XXPlusYYGate(x * w), [1, 0])
    update.ry(w, 2)
    update.measure(0, 0)
    memory = MemoryCircuit(update, [x], [w], ancillas=[0])
    engine = OpenEngine(memory, precision="float64")
    arguments = random_arguments(engine, rng, samples=3, steps=5)
    values, tape = engine.forward(*arguments, emissions=True)
    np.testing.assert_allclose(values.sum(axis=-1), 1, rtol=0, atol=1e-12)
    gradients = engine.backward(tape, values, emissions=tape.emissions)

    def value(*changed):
        values, tape = engine.forward(*changed, emissions=True)
        return ((values**2).sum() + (tape.emissions**2).sum()) / 2

    assert_slopes(value, arguments, _parts(gradients), rng)


def test_six_qubits_run_and_seven_point_to_aer(rng):
    engine = _engine("damped_line", 6)
    arguments = random_arguments(engine, rng, samples=1, steps=2)
    values, tape = engine.forward(*arguments)
    np.testing.assert_allclose(values.sum(), 1, rtol=0, atol=1e-12)
    assert np.isfinite(engine.backward(tape, values).weights).all()
    with pytest.raises(CircuitError, match=r"at most 6 qubits, not 7.*Aer"):
        _engine("damped_line", 7)


def test_what_cannot_be_run_is_named_with_its_place():
    update = QuantumCircuit(2)
    update.h(0)
    update.append(Instruction("wish", 1, 0, []), [1])
    with pytest.raises(CircuitError, match=r"instruction 1: 'wish' on qubits \[1\] is not supported"):
        OpenEngine(MemoryCircuit(update, [], []))
    update = QuantumCircuit(1)
    update.append(Instruction("kraus", 1, 0, [np.diag([1.0, 0.5])]), [0])
    with pytest.raises(CircuitError, match=r"instruction 0: 'kraus' on qubits \[0\] does not keep the trace"):
        OpenEngine(MemoryCircuit(update, [], []))
    x = ParameterVector("x", 4)
    update = QuantumCircuit(8)
    for k in range(4):
        update.append(XXPlusYYGate(x[k]), [k, 4 + k])
    with pytest.raises(CircuitError, match="inputs act on its ancillas, so that 8 qubits"):
        OpenEngine(MemoryCircuit(update, x, [], ancillas=[4, 5, 6, 7]))


def test_arguments_are_checked(rng):
    engine = _engine()
    inputs, weights, queries = random_arguments(engine, rng)
    with pytest.raises(CircuitError, match="inputs must be"):
        engine.forward(inputs[..., :1], weights, queries)
    values, tape = engine.forward(inputs, weights, queries)
    with pytest.raises(CircuitError, match=r"cotangent has shape \(3, 4\)"):
        engine.backward(tape, np.zeros((3, 4)))
    with pytest.raises(CircuitError, match="not asked for emissions"):
        engine.backward(tape, values, emissions=np.zeros((3, 1, 1, 2)))
    with pytest.raises(ConfigurationError, match="float32, float64"):
        _engine(precision="float16")
    with pytest.raises(ConfigurationError, match="at least 1 thread"):
        _engine(threads=0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_computes_the_same(copied, rng):
    engine = _engine()
    arguments = random_arguments(engine, rng)
    np.testing.assert_array_equal(copied(engine).forward(*arguments)[0], engine.forward(*arguments)[0])
