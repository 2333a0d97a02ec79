"""A memory on Aer's primitives: exactly the engine without shots, within sampling error with them."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate

from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import ExactExecution, PrimitiveExecution
from qlam_qiskit.templates import load_template

STEPS, READ = 3, (0, 2)
READOUTS = [Readout(3), Readout(3, "z_strings", 2)]


def _open(seed=11, **values):
    return open_backend(make_spec("here", {"kind": "aer", **values}, "test"), seed=seed)


def _execution(memory, readout, backend, **options):
    return PrimitiveExecution(memory, readout, backend, steps=STEPS, readout_steps=READ, **options)


def _exact(memory, readout):
    return ExactExecution.of(memory, readout, READ, precision="float64")


def _arguments(memory, samples=2, registers=2, queries=2, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(samples, STEPS, registers, memory.num_inputs)),
        rng.normal(size=(registers, memory.num_weights)),
        rng.normal(size=(samples, len(READ), registers, queries, memory.num_query_angles)),
    )


def _demanding_memory():
    """Make a memory with gates that Aer lacks, a lookalike, products of parameters, and names out of order."""
    x = ParameterVector("x", 11)
    w = [Parameter("b"), Parameter("a")]
    lookalike = QuantumCircuit(1, name="rx")
    lookalike.ry(2 * x[10], 0)
    nested = QuantumCircuit(2, name="nested")
    nested.append(lookalike.to_gate(), [1])
    nested.cx(1, 0)
    update = QuantumCircuit(3, name="demanding")
    update.append(nested.to_gate(), [2, 0])
    update.rzz(x[2] * w[0], 0, 1)
    update.append(XXPlusYYGate(w[1], x[2]), [1, 2])
    update.barrier()
    update.rx((np.pi - x[2]) * w[1], 0)
    return MemoryCircuit(update, [x[10], x[2]], w)


@pytest.fixture(params=["line", "demanding"])
def memory(request):
    return _demanding_memory() if request.param == "demanding" else load_template("line", 3)


@pytest.mark.parametrize("readout", READOUTS, ids=lambda readout: readout.kind)
def test_values_and_gradients_without_shots_are_the_engines(memory, readout):
    arguments = _arguments(memory)
    expected, exact_tape = _exact(memory, readout).forward(*arguments)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    wanted = _exact(memory, readout).backward(exact_tape, cotangent)
    with _open() as backend:
        for gradient in ("param_shift", "adjoint"):
            execution = _execution(memory, readout, backend, gradient=gradient)
            values, tape = execution.forward(*arguments)
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10)
            gradients = execution.backward(tape, cotangent)
            for part in ("inputs", "weights", "queries"):
                ours, theirs = getattr(gradients, part), getattr(wanted, part)
                assert ours.shape == theirs.shape
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["cp", "crx", "cry", "crz", "cu", "mcp"])
@pytest.mark.parametrize("shots", [None, 4000])
def test_controlled_gates_with_free_angles_keep_every_row_apart(name, shots):
    """Aer by itself binds the angles of several rows to such gates wrongly."""
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(3)
    update.h([0, 1])
    update.ry(x, 2)
    if name == "mcp":
        update.mcp(x * w, [0, 1], 2)
    else:
        getattr(update, name)(*[x * w, x, w, 0.3][: 4 if name == "cu" else 1], 0, 2)
    update.h([0, 1, 2])
    memory = MemoryCircuit(update, [x], [w])
    arguments = _arguments(memory, samples=4, registers=1, queries=1)
    expected, _ = _exact(memory, READOUTS[1]).forward(*arguments)
    with _open(shots=shots) as backend:
        values, _ = _execution(memory, READOUTS[1], backend).forward(*arguments)
    # A Z string's standard deviation is at most 1 over the root of the shots.
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10 if shots is None else 5 * shots**-0.5)


def test_equal_rows_give_equal_values_without_shots():
    memory = load_template("ring", 3)
    angles, weights, queries = _arguments(memory, samples=5)
    angles[4], queries[4] = angles[1], queries[1]
    with _open() as backend:
        values, _ = _execution(memory, READOUTS[0], backend).forward(angles, weights, queries)
    np.testing.assert_array_equal(values[4], values[1])


def test_queries_broadcast_and_precision_follows_the_angles():
    memory = load_template("line", 3)
    angles, weights, queries = _arguments(memory)
    angles, queries = angles.astype(np.float32), queries[:1, :1]
    with _open() as backend:
        values, _ = _execution(memory, READOUTS[1], backend).forward(angles, weights, queries)
    expected, _ = _exact(memory, READOUTS[1]).forward(angles, weights, queries)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS, ids=lambda readout: readout.kind)
def test_values_from_shots_lie_within_sampling_error(memory, readout):
    shots = 4000
    arguments = _arguments(memory, samples=4)
    probabilities, _ = _exact(memory, readout).engine.forward(*arguments, readout_steps=READ)
    expected = readout.from_probabilities(probabilities)
    with _open(shots=shots) as backend:
        values, _ = _execution(memory, readout, backend).forward(*arguments)
    # y = sum_j M_j (bit string is j) + m has the variance E[M^2] - E[M]^2 over the number of shots.
    rows = readout.from_probabilities(np.eye(8))
    variance = probabilities @ rows**2 - expected**2
    deviations = np.abs(values - expected) / np.sqrt(variance.clip(1e-6) / shots)
    # The mean of squared deviations is 1; five standard deviations are passed once in millions of numbers.
    assert deviations.max() < 5
    assert 0.7 < np.mean(deviations**2) < 1.3


def test_shots_are_repeated_by_a_seed_and_differ_between_rows_and_runs():
    memory = load_template("line", 3)
    angles, weights, queries = _arguments(memory)
    angles[1], queries[1] = angles[0], queries[0]

    def two_runs(seed):
        with _open(shots=50, seed=seed) as backend:
            execution = _execution(memory, READOUTS[0], backend)
            return [execution.forward(angles, weights, queries)[0] for _ in range(2)]

    first, again, other = two_runs(1), two_runs(1), two_runs(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0][0], first[0][1])


def test_gradients_from_shots_are_unbiased():
    """Over repetitions, the mean of parameter shift's estimates approaches the engine's gradient."""
    memory, readout = load_template("line", 3), READOUTS[1]
    arguments = _arguments(memory, samples=1, registers=1, queries=1)
    expected, exact_tape = _exact(memory, readout).forward(*arguments)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    wanted = _exact(memory, readout).backward(exact_tape, cotangent).inputs
    with _open(shots=100) as backend:
        execution = _execution(memory, readout, backend, gradient="param_shift")
        _, tape = execution.forward(*arguments)
        estimates = np.array([execution.backward(tape, cotangent).inputs for _ in range(30)])
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    deviations = (estimates.mean(axis=0) - wanted) / error.clip(1e-6)
    # Student's t with 29 degrees of freedom passes 5.5 in 6 of a million numbers; here are 18.
    assert np.abs(deviations).max() < 5.5


@pytest.mark.parametrize("readout", [Readout(2, "z_strings", 2), Readout(2, "z_strings", 2, pooling="mean")])
def test_a_memory_with_channels_has_the_open_engines_gradient_by_shifts(readout):
    memory = load_template("damped_line", 2)
    arguments = _arguments(memory, samples=1, registers=1)
    expected, exact_tape = _exact(memory, readout).forward(*arguments)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    wanted = _exact(memory, readout).backward(exact_tape, cotangent)
    with _open(method="density_matrix") as backend:
        for gradient in ("param_shift", "adjoint"):
            execution = _execution(memory, readout, backend, gradient=gradient)
            values, tape = execution.forward(*arguments)
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10)
            gradients = execution.backward(tape, cotangent)
            for part in ("inputs", "weights", "queries"):
                np.testing.assert_allclose(getattr(gradients, part), getattr(wanted, part), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("template", "qubits", "method"), [("line", 3, "statevector"), ("damped_line", 2, "density_matrix")]
)
def test_spsa_on_aer_points_along_the_gradient(template, qubits, method):
    memory, readout = load_template(template, qubits), Readout(qubits, "z_strings", 2)
    arguments = _arguments(memory, samples=1, registers=1, queries=1)
    expected, exact_tape = _exact(memory, readout).forward(*arguments)
    cotangent = np.random.default_rng(1).normal(size=expected.shape)
    exact = _exact(memory, readout).backward(exact_tape, cotangent)
    with _open(method=method) as backend:
        execution = _execution(memory, readout, backend, gradient="spsa", rng=np.random.default_rng(2))
        _, tape = execution.forward(*arguments)
        estimates = [execution.backward(tape, cotangent) for _ in range(40)]
    for part in ("inputs", "weights", "queries"):
        mean = np.mean([getattr(estimate, part) for estimate in estimates], axis=0).ravel()
        wanted = getattr(exact, part).ravel()
        # 320 directions in 38 dimensions: the angle between mean and gradient has a tangent of about 0.35.
        assert mean @ wanted > 0.8 * np.linalg.norm(mean) * np.linalg.norm(wanted)


@pytest.mark.parametrize("values", [{"noise": "FakeTorino", "shots": 400}, {"kind": "fake", "name": "FakeTorino"}])
def test_a_noisy_backend_runs_and_shrinks_what_is_read(values):
    memory, readout = load_template("line", 3), READOUTS[1]
    arguments = _arguments(memory, samples=8, registers=1, queries=1)
    expected, _ = _exact(memory, readout).forward(*arguments)
    with _open(**values) as backend:
        execution = _execution(memory, readout, backend)
        noisy, tape = execution.forward(*arguments)
        gradients = execution.backward(tape, np.ones_like(noisy))
    assert np.isfinite(gradients.inputs).all()
    slope = (noisy * expected).sum() / (expected**2).sum()
    assert 0.5 < slope < 1.0
    assert np.corrcoef(noisy.ravel(), expected.ravel())[0, 1] > 0.9


def test_an_unknown_gradient_is_an_error_that_lists_the_known():
    with _open() as backend, pytest.raises(ConfigurationError, match=r"'finite'.*adjoint, param_shift, spsa"):
        _execution(load_template("line", 3), READOUTS[0], backend, gradient="finite")
