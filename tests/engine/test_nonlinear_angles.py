"""Angles of any expression that Qiskit can write: values of its own statevector, gradients of differences."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import SparsePauliOp, Statevector

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.engine.torch.torch_engine import TorchEngine
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import AdjointEstimator, AdjointEstimatorGradient

X = [Parameter(name) for name in ("x", "p0", "a + b")]
FUNCTIONS = ["sin", "cos", "tan", "exp", "log", "arcsin", "arccos", "arctan", "abs", "conjugate"]
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
NUMBERS = [2, 3, -1, 0.5, -0.7, 1 / 3, 2.000000000000001]


def _join(parts):
    return st.one_of(
        st.tuples(st.sampled_from(FUNCTIONS), parts),
        st.tuples(st.sampled_from(sorted(OPERATIONS)), parts, parts),
    )


EXPRESSIONS = st.recursive(st.sampled_from([*X, *NUMBERS]), _join, max_leaves=6)


def _build(tree):
    """Make a tree a Qiskit expression; functions of numbers are taken as the number."""
    if not isinstance(tree, tuple):
        return tree
    name, *parts = tree
    built = [_build(part) for part in parts]
    if name in OPERATIONS:
        return OPERATIONS[name](*built)
    return getattr(built[0], name)() if hasattr(built[0], name) and hasattr(built[0], "bind") else built[0]


def _real(tree, values):
    """Evaluate a tree in real numbers, NaN where one of its parts has no value or no derivative."""
    if not isinstance(tree, tuple):
        return np.float64(values.get(tree, tree))
    name, *parts = tree
    numbers = [_real(part, values) for part in parts]
    if name == "**" and numbers[0] <= 0 and parts[1] not in (2, 3, -1):
        return np.float64(np.nan)
    if name in OPERATIONS:
        return OPERATIONS[name](*numbers)
    if not _parameters(parts[0]):
        return numbers[0]  # as _build takes it
    found = getattr(np, name)(numbers[0])
    steep = name in ("arcsin", "arccos") and abs(numbers[0]) > 0.999
    return np.float64(np.nan) if steep or (name == "abs" and found < 1e-3) else found


def _defined(tree, values):
    with np.errstate(all="ignore"):
        return np.isfinite(_real(tree, values) if _parameters(tree) else 0.0)


def _parameters(tree):
    return any(map(_parameters, tree[1:])) if isinstance(tree, tuple) else isinstance(tree, Parameter)


def _z(circuit, row):
    values = dict(zip(circuit.parameters, row, strict=True))
    return Statevector(circuit.assign_parameters(values)).expectation_value(SparsePauliOp("Z")).real


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.tuples(EXPRESSIONS, EXPRESSIONS), st.lists(st.floats(0.2, 0.9), min_size=3, max_size=3))
def test_values_are_the_statevectors_and_gradients_the_differences(trees, numbers):
    circuit = QuantumCircuit(1)
    try:
        angles = [_build(tree) for tree in trees]
        circuit.rx(angles[0], 0)
        circuit.ry(angles[1], 0)
    except (ZeroDivisionError, OverflowError, QiskitError):  # Qiskit itself refuses it
        assume(False)
    assume(circuit.num_parameters)
    values = dict(zip(X, numbers, strict=True))
    row = np.array([values[parameter] for parameter in circuit.parameters])
    try:
        value = AdjointEstimator().run([(circuit, "Z", row)]).result()[0].data.evs
        (gradient,) = AdjointEstimatorGradient().run([circuit], [SparsePauliOp("Z")], [row]).result().gradients
    except CircuitError as error:
        assert "\n" not in str(error)
        assert not all(_defined(tree, values) for tree in trees)
        return
    assume(all(_defined(tree, values) for tree in trees))
    assert value == pytest.approx(_z(circuit, row), abs=1e-9)
    slopes, coarse = (
        [(_z(circuit, row + step * unit) - _z(circuit, row - step * unit)) / (2 * step) for unit in np.eye(len(row))]
        for step in (1e-5, 2e-5)
    )
    assert (np.abs(gradient - slopes) <= 10 * np.abs(np.subtract(slopes, coarse)) + 1e-5).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda x, w: 2 ** (3 * x),
        lambda x, w: x**w,
        lambda x, w: 0.7**x + (w**2) ** x,
        lambda x, w: (x.exp() * w).sin() - x / w,
        lambda x, w: x.log() + w.abs() * x.conjugate(),
        lambda x, w: 0.12345678901234568 * x * w,
    ],
)
@pytest.mark.parametrize("engine", [ExactEngine, lambda *a, **k: TorchEngine(*a, device="cpu", **k)])
def test_inputs_and_weights_meet_in_an_angle(make, engine):
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(1)
    update.h(0)
    update.rx(make(x, w), 0)
    update.rz(make(w, x), 0)
    memory = MemoryCircuit(update, [x], [w])
    run = engine(memory, precision="float64")
    inputs, weights, query = np.array([[[[0.4]], [[0.7]]]]), np.array([[0.6]]), np.full((1, 1, 1, 1, 2), 0.3)
    probabilities, tape = run.forward(inputs, weights, query)
    circuit = memory.unroll(2)
    names = [*memory.sequence_inputs(2), w, *memory.query_angles]

    def expected(row):
        bound = circuit.assign_parameters(dict(zip(names, row, strict=True)))
        return Statevector(bound).probabilities()[1]

    row = np.concatenate([part.ravel() for part in (inputs, weights, query)])
    assert probabilities.ravel()[1] == pytest.approx(expected(row), abs=1e-13)
    gradients = run.backward(tape, np.array([0.0, 1.0]).reshape(probabilities.shape))
    slopes = [(expected(row + 1e-5 * unit) - expected(row - 1e-5 * unit)) / 2e-5 for unit in np.eye(len(row))]
    found = np.concatenate([gradients.inputs.ravel(), gradients.weights.ravel(), gradients.queries.ravel()])
    np.testing.assert_allclose(found, slopes, rtol=0, atol=1e-8)


def test_all_digits_of_a_number_in_an_expression_count():
    x, y = Parameter("x"), Parameter("y")
    number = 0.12345678901234568
    assert AngleFunctions([number * x * y], [x, y])(np.ones(2))[0] == number


def test_an_engine_with_such_angles_can_be_pickled():
    x, y = Parameter("x"), Parameter("y")
    update = QuantumCircuit(1)
    update.rx(x**y, 0)
    engine = ExactEngine(MemoryCircuit(update, [x], [y]), precision="float64")
    arguments = np.full((1, 1, 1, 1), 0.3), np.full((1, 1), 0.4), np.zeros((1, 1, 1, 1, 2))
    copied = pickle.loads(pickle.dumps(engine))
    np.testing.assert_array_equal(copied.forward(*arguments)[0], engine.forward(*arguments)[0])


@pytest.mark.parametrize(
    ("make", "value", "message"),
    [
        (lambda x: x.sign(), 0.3, r"the angle sign\(x\) has no derivative by x"),
        (lambda x: (x * x).sign() * x, 0.3, "has no derivative by x"),
        (lambda x: x.abs(), 0.0, r"the angle abs\(x\) has no finite derivative by x at x = 0"),
        (lambda x: x.log(), -1.5, r"the angle log\(x\) has no finite value at x = -1.5"),
        (lambda x: (2 * x).arcsin(), 0.7, "has no finite value at x = 0.7"),
        (lambda x: 1 / x, 0.0, "has no finite value at x = 0"),
        (lambda x: x**0.5, 0.0, "has no finite derivative by x at x = 0"),
        (lambda x: x * 1j, 0.3, "an angle is a finite real number"),
        (lambda x: (x * 1j).exp(), 0.3, "an angle is a finite real number"),
    ],
)
@pytest.mark.parametrize("engine", [ExactEngine, lambda *a, **k: TorchEngine(*a, device="cpu", **k)])
def test_what_cannot_be_differentiated_is_one_line_that_names_gate_and_place(make, value, message, engine):
    x = Parameter("x")
    update = QuantumCircuit(2, name="mine")
    update.rx(x, 0)
    update.ry(make(x), 1)
    update.rz(x, 1)
    with pytest.raises(CircuitError, match=message) as caught:
        run = engine(MemoryCircuit(update, [x], []), precision="float64")
        probabilities, tape = run.forward(np.full((1, 1, 1, 1), value), np.zeros((1, 0)), np.zeros((1, 1, 1, 1, 4)))
        run.backward(tape, np.ones(probabilities.shape))
    assert str(caught.value).startswith("circuit 'mine', instruction 1: 'ry' on qubits [1]: ")
    assert "\n" not in str(caught.value)


def test_inputs_that_are_not_numbers_stay_so():
    x = Parameter("x")
    found = AngleFunctions([x.exp(), x.abs()], [x])(np.array([[np.nan], [1.0]]))
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
