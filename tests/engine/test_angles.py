"""Angles of any expression and any parameter names, with their derivatives."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from references import qiskit_states

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.engine.angles import AngleFunctions
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

NAMES = ["pi", "sin", "E", "I", "S", "lambda", "None", "a b", "θ[0]", "x[2]", "x[10]", "1", "x+y", "$\\phi$", "p1"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", ["p0", "zeta", "x[3]"])
def test_names_are_only_names(name, other):
    a, b = Parameter(name), Parameter(other)
    functions = AngleFunctions([a * b, a.sin(), 2 * a - b / 3 + 0.5], [b, a])
    values = np.array([[0.3, 0.7], [-1.1, 0.2]])
    b_value, a_value = values.T
    expected = np.stack([a_value * b_value, np.sin(a_value), 2 * a_value - b_value / 3 + 0.5], axis=-1)
    np.testing.assert_allclose(functions(values), expected, rtol=0, atol=1e-14)
    cotangent = np.array([[1.0, 10.0, 100.0]] * 2)
    by_b = a_value - 100 / 3
    by_a = b_value + 10 * np.cos(a_value) + 200
    np.testing.assert_allclose(functions.pull_back(values, cotangent), np.stack([by_b, by_a], axis=-1), atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: x.exp() * y,
        lambda x, y: (x * x + y * y) ** 0.5,
        lambda x, y: x.tan() - y.arctan(),
        lambda x, y: (x / y).cos(),
        lambda x, y: x.log() + (x * y).abs(),
        lambda x, y: (np.pi - x) * (np.pi - y),
        lambda x, y: x.arcsin() + y.arccos(),
    ],
)
def test_functions_of_parameters_have_their_derivatives(make):
    x, y = Parameter("x"), Parameter("y")
    functions = AngleFunctions([make(x, y), x], [x, y])
    values = np.array([0.4, 0.6])
    reference = [float(make(x, y).bind({x: 0.4, y: 0.6})), 0.4]
    np.testing.assert_allclose(functions(values), reference, rtol=0, atol=1e-13)
    for k, unit in enumerate(np.eye(2)):
        slope = (functions(values + 1e-6 * unit) - functions(values - 1e-6 * unit)) / 2e-6
        gradients = [functions.pull_back(values, cotangent)[k] for cotangent in np.eye(2)]
        np.testing.assert_allclose(gradients, slope, rtol=0, atol=1e-8)


def test_angles_that_cannot_be_differentiated_or_are_not_real_are_named():
    x = Parameter("x")
    with pytest.raises(CircuitError, match=r"sign\(x\) has no derivative by x"):
        AngleFunctions([x.sign()], [x])
    with pytest.raises(CircuitError, match="finite real number"):
        AngleFunctions([x * 1j], [x])


def test_different_expressions_that_are_written_alike_stay_apart():
    a, b, both, x = (Parameter(name) for name in ("a", "b", "a + b", "x"))
    circuit = QuantumCircuit(2)
    circuit.rx(x + (a + b), 0)
    circuit.rx(x + both, 1)
    memory = MemoryCircuit(circuit, [x], [a, b, both])
    inputs, weights = np.array([[[0.3]]]), np.array([0.1, 0.2, 1.4])
    states = ExactEngine(memory, precision="float64").statevector(inputs, weights)
    np.testing.assert_allclose(states, qiskit_states(memory, inputs, weights), rtol=0, atol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_cos_and_sin_keep_their_digits_for_large_angles(precision):
    x = Parameter("x")
    circuit = QuantumCircuit(1)
    circuit.rx(x, 0)
    memory = MemoryCircuit(circuit, [x], [])
    angles = np.concatenate([np.linspace(-60, 60, 4001), np.arange(-40, 41) * np.pi / 2]).astype(precision)
    states = ExactEngine(memory, precision=precision).statevector(angles[:, None, None], np.zeros(0))
    exact = angles.astype(np.float64) / 2
    tolerance = 4 * np.finfo(precision).eps
    np.testing.assert_allclose(states[:, 0], np.cos(exact), rtol=0, atol=tolerance)
    np.testing.assert_allclose(states[:, 1], -1j * np.sin(exact), rtol=0, atol=tolerance)
