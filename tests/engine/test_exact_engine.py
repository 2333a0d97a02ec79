"""The engine on batches: shapes, readings, threads, precision, memory, and what it refuses."""

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import Statevector
from references import assert_slopes, random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.templates import load_template


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def _engine(template="ring", qubits=3, precision="float64", **options):
    return ExactEngine(load_template(template, qubits), precision=precision, **options)


def _gradients(engine, arguments, cotangent, **options):
    _, tape = engine.forward(*arguments, **options)
    gradients = engine.backward(tape, cotangent)
    return gradients.inputs, gradients.weights, gradients.queries


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 33])
def test_each_sample_of_a_batch_gets_what_it_would_get_alone(samples, rng):
    engine = _engine(precision="float32")
    inputs, weights, queries = random_arguments(engine, rng, samples=samples)
    cotangent = rng.normal(size=(samples, 1, 1, 1, 8))
    together, tape = engine.forward(inputs, weights, queries)
    gradients = engine.backward(tape, cotangent)
    weight_gradients = []
    for k in range(samples):
        one = slice(k, k + 1)
        alone, tape = engine.forward(inputs[one], weights, queries[one])
        np.testing.assert_array_equal(together[one], alone)
        lone = engine.backward(tape, cotangent[one])
        np.testing.assert_array_equal(gradients.inputs[one], lone.inputs)
        np.testing.assert_array_equal(gradients.queries[one], lone.queries)
        weight_gradients.append(lone.weights)
    np.testing.assert_allclose(gradients.weights, np.sum(weight_gradients, axis=0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equal_rows_give_equal_outputs_and_gradients(precision, rng):
    engine = _engine(precision=precision)
    inputs, weights, queries = random_arguments(engine, rng, samples=20)
    inputs[19], queries[19] = inputs[3], queries[3]
    values, tape = engine.forward(inputs, weights, queries)
    gradients = engine.backward(tape, np.ones_like(values) * np.arange(8))
    for part in (values, gradients.inputs, gradients.queries):
        np.testing.assert_array_equal(part[19], part[3])


def test_probabilities_are_those_of_the_sequences_circuit(rng):
    engine = _engine("brickwork")
    memory = engine.memory
    inputs, weights, queries = random_arguments(engine, rng, samples=2, steps=5, registers=2, queries=2, readouts=3)
    read = [4, 0, 2]  # readouts come in the order in which they are asked for
    values, _ = engine.forward(inputs, weights, queries, readout_steps=read)
    assert values.shape == (2, 3, 2, 2, 8)
    for b, r, h, q in np.ndindex(2, 3, 2, 2):
        steps = read[r] + 1
        bound = dict(zip(memory.sequence_inputs(steps), inputs[b, :steps, h].ravel(), strict=True))
        bound |= dict(zip(memory.weights, weights[h], strict=True))
        bound |= dict(zip(memory.query_angles, queries[b, r, h, q], strict=True))
        state = Statevector(memory.unroll(steps).assign_parameters(bound))
        np.testing.assert_allclose(values[b, r, h, q], state.probabilities(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 21])
@pytest.mark.parametrize("template", ["reuploading", "ising"])
def test_gradients_are_slopes_for_any_number_of_steps(template, steps, rng):
    engine = _engine(template)
    read = sorted({0, steps // 2, steps - 1})
    arguments = random_arguments(
        engine, rng, samples=3, steps=steps, registers=2, queries=2, readouts=len(read), size=0.5
    )
    cotangent = rng.normal(size=(3, len(read), 2, 2, 8))
    gradients = _gradients(engine, arguments, cotangent, readout_steps=read)

    def value(*changed):
        return (engine.forward(*changed, readout_steps=read)[0] * cotangent).sum()

    assert_slopes(value, arguments, gradients, rng)


def test_probabilities_in_the_loss_may_be_squared_so_each_gets_its_own_cotangent(rng):
    engine = _engine(qubits=2)
    arguments = random_arguments(engine, rng, samples=2)
    values, tape = engine.forward(*arguments)
    gradients = engine.backward(tape, 2 * values)
    parts = (gradients.inputs, gradients.weights, gradients.queries)
    assert_slopes(lambda *changed: (engine.forward(*changed)[0] ** 2).sum(), arguments, parts, rng)


@pytest.mark.parametrize("lead", [(1, 1), (5, 1), (1, 2), (5, 2)])
def test_queries_broadcast_over_samples_and_readouts(lead, rng):
    engine = _engine()
    inputs, weights, queries = random_arguments(engine, rng, samples=5, registers=2, queries=2, readouts=2)
    queries = queries[: lead[0], : lead[1]]
    full = np.broadcast_to(queries, (5, 2, *queries.shape[2:]))
    values, tape = engine.forward(inputs, weights, queries, readout_steps=[1, 3])
    expected, expected_tape = engine.forward(inputs, weights, full.copy(), readout_steps=[1, 3])
    np.testing.assert_array_equal(values, expected)
    gradient = engine.backward(tape, values).queries
    assert gradient.shape == full.shape
    np.testing.assert_array_equal(gradient, engine.backward(expected_tape, values).queries)


def test_registers_do_not_touch_each_other(rng):
    engine = _engine()
    inputs, weights, queries = random_arguments(engine, rng, samples=4, registers=3)
    values, tape = engine.forward(inputs, weights, queries)
    cotangent = rng.normal(size=values.shape)
    gradients = engine.backward(tape, cotangent)
    for register in range(3):
        one = slice(register, register + 1)
        alone, tape = engine.forward(inputs[:, :, one], weights[one], queries[:, :, one])
        lone = engine.backward(tape, cotangent[:, :, one])
        np.testing.assert_array_equal(values[:, :, one], alone)
        np.testing.assert_array_equal(gradients.inputs[:, :, one], lone.inputs)
        np.testing.assert_array_equal(gradients.weights[one], lone.weights)
        np.testing.assert_array_equal(gradients.queries[:, :, one], lone.queries)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_runs_and_numbers_of_threads_are_bit_identical(precision, rng):
    engines = [_engine(precision=precision, threads=threads) for threads in (1, 2, 2, 3)]
    arguments = random_arguments(engines[0], rng, samples=70, steps=9, registers=2)
    cotangent = rng.normal(size=(70, 1, 2, 1, 8))
    runs = [(engine.forward(*arguments)[0], *_gradients(engine, arguments, cotangent)) for engine in engines]
    for run in runs[1:]:
        for part, expected in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("template", ["ring", "brickwork", "reuploading"])
def test_single_precision_gradients_are_close_to_double_over_784_steps(template, rng):
    double, single = (_engine(template, 4, precision) for precision in ("float64", "float32"))
    inputs, weights, queries = random_arguments(double, rng, samples=4, steps=784)
    inputs = inputs.astype(np.float32)
    cotangent = rng.normal(size=(4, 1, 1, 1, 16))
    for exact, rounded in zip(
        _gradients(double, (inputs, weights, queries), cotangent),
        _gradients(single, (inputs, weights, queries), cotangent),
        strict=True,
    ):
        assert rounded.dtype == np.float32
        assert np.linalg.norm(rounded - exact) < 1e-3 * np.linalg.norm(exact)


def test_overwritten_inputs_hold_the_same_gradients(rng):
    engine = _engine(precision="float32")
    inputs, weights, queries = random_arguments(engine, rng, samples=18, steps=11, registers=2)
    inputs = inputs.astype(np.float32)
    cotangent = rng.normal(size=(18, 1, 2, 1, 8))
    kept = _gradients(engine, (inputs, weights, queries), cotangent)
    _, tape = engine.forward(inputs, weights, queries)
    gradients = engine.backward(tape, cotangent, overwrite_inputs=True)
    assert np.shares_memory(gradients.inputs, inputs)
    for part, expected in zip((gradients.inputs, gradients.weights, gradients.queries), kept, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("freeze", [lambda a: a.setflags(write=False) or a, lambda a: np.broadcast_to(a[:1], a.shape)])
def test_inputs_that_must_not_be_written_are_not(freeze, rng):
    engine = _engine(precision="float32")
    inputs, weights, queries = random_arguments(engine, rng, samples=3)
    inputs = freeze(inputs.astype(np.float32))
    before = inputs.copy()
    values, tape = engine.forward(inputs, weights, queries)
    expected = engine.backward(tape, values).inputs
    np.testing.assert_array_equal(engine.backward(tape, values, overwrite_inputs=True).inputs, expected)
    np.testing.assert_array_equal(inputs, before)


def test_inputs_that_share_their_memory_are_not_overwritten(rng):
    """A torch tensor that was expanded becomes an array that can be written, but holds one sample for all."""
    engine = _engine(precision="float32")
    inputs, weights, queries = random_arguments(engine, rng, samples=3)
    first = inputs.astype(np.float32)[:1]
    inputs = np.lib.stride_tricks.as_strided(first, inputs.shape, (0, *first.strides[1:]))
    assert inputs.flags.writeable
    values, tape = engine.forward(inputs, weights, queries)
    expected = engine.backward(tape, values).inputs
    np.testing.assert_array_equal(engine.backward(tape, values, overwrite_inputs=True).inputs, expected)


def test_memory_does_not_grow_with_the_sequence(rng):
    engine = _engine(qubits=6, precision="float32", threads=1)

    def peak(steps):
        inputs, weights, queries = random_arguments(engine, rng, samples=16, steps=steps)
        inputs = inputs.astype(np.float32)
        tracemalloc.start()
        values, tape = engine.forward(inputs, weights, queries)
        engine.backward(tape, values, overwrite_inputs=True)
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top, inputs.nbytes

    peak(8)
    (short, _), (long, inputs_bytes) = peak(8), peak(4000)
    assert long - short < 0.02 * inputs_bytes


def test_circuits_without_inputs_weights_or_query_angles_run(rng):
    x = Parameter("x")
    bare, turning = QuantumCircuit(2), QuantumCircuit(2)
    bare.h(0)
    turning.ry(x, 1)
    for memory in (
        MemoryCircuit(bare, [], [], QuantumCircuit(2), []),
        MemoryCircuit(turning, [x], [], QuantumCircuit(2), []),
        MemoryCircuit(turning, [], [x]),
        MemoryCircuit(QuantumCircuit(2), [], [], turning, [x]),
    ):
        engine = ExactEngine(memory, precision="float64")
        arguments = random_arguments(engine, rng)
        values, tape = engine.forward(*arguments)
        gradients = engine.backward(tape, values)
        assert gradients.inputs.shape == arguments[0].shape
        assert gradients.weights.shape == arguments[1].shape
        assert gradients.queries.shape == arguments[2].shape
        np.testing.assert_allclose(values.sum(axis=-1), 1, rtol=0, atol=1e-12)


def test_sixteen_qubits_run_and_seventeen_point_to_aer(rng):
    engine = _engine("line", 16, "float32")
    inputs, weights, queries = random_arguments(engine, rng, samples=1, steps=1)
    values, _ = engine.forward(inputs, weights, queries)
    np.testing.assert_allclose(values.sum(), 1, rtol=0, atol=1e-4)
    with pytest.raises(CircuitError, match=r"at most 16 qubits, not 17.*Aer"):
        _engine("line", 17)


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        (0, (3, 4, 1, 5), r"inputs must be \(samples, steps, registers, 6\).*\(3, 4, 1, 5\)"),
        (0, (3, 4, 6), "inputs must be"),
        (0, (0, 4, 1, 6), "none zero"),
        (0, (3, 0, 1, 6), "none zero"),
        (1, (1, 5), r"weights must be \(1, 6\), not \(1, 5\)"),
        (1, (6,), "weights must be"),
        (1, (2, 6), "weights must be"),
        (2, (3, 1, 1, 1, 5), "queries must be .*6"),
        (2, (3, 1, 1, 0, 6), "queries must be"),
        (2, (2, 1, 1, 1, 6), r"queries of shape \(2, 1, 1, 1, 6\) do not fit"),
        (2, (3, 2, 1, 1, 6), "do not fit"),
        (2, (3, 1, 2, 1, 6), "do not fit"),
    ],
)
def test_a_shape_that_does_not_fit_is_said(part, shape, message, rng):
    engine = _engine()
    arguments = random_arguments(engine, rng)
    arguments[part] = np.zeros(shape)
    with pytest.raises(CircuitError, match=message) as raised:
        engine.forward(*arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("steps", [[], [4], [-1], [1, 1]])
def test_readout_steps_lie_within_the_sequence(steps, rng):
    engine = _engine()
    with pytest.raises(CircuitError, match="different numbers from 0 to 3"):
        engine.forward(*random_arguments(engine, rng, readouts=max(1, len(steps))), readout_steps=steps)


def test_a_cotangent_of_another_shape_is_refused(rng):
    engine = _engine()
    _, tape = engine.forward(*random_arguments(engine, rng))
    with pytest.raises(CircuitError, match=r"cotangent has shape \(3, 8\)"):
        engine.backward(tape, np.zeros((3, 8)))


def test_options_are_checked():
    memory = load_template("ring", 2)
    with pytest.raises(ConfigurationError, match=r"float16.*float32, float64"):
        ExactEngine(memory, precision="float16")
    for threads in (0, -2):
        with pytest.raises(ConfigurationError, match=f"at least 1 thread, not {threads}"):
            ExactEngine(memory, threads=threads)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_computes_the_same(copied, rng):
    engine = _engine()
    arguments = random_arguments(engine, rng, samples=3)
    values, tape = engine.forward(*arguments)
    twin = copied(engine)
    again, twins_tape = twin.forward(*arguments)
    np.testing.assert_array_equal(again, values)
    gradients = (which.backward(of, values).weights for which, of in ((engine, tape), (twin, twins_tape)))
    np.testing.assert_array_equal(*gradients)
