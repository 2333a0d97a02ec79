"""Gradients from more circuits: exact by parameter shift for any gates and expressions, unbiased by SPSA."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient

from qlam_qiskit.network.gradients import ParameterShift, spsa_gradient

OBSERVABLES = [SparsePauliOp("ZI"), SparsePauliOp("XZ")]
A, B, C = (Parameter(name) for name in ("b", "x[10]", "a"))


def _runner(circuit, parameters):
    names = tuple(parameter.name for parameter in parameters)

    def evaluate(rows):
        pub = (circuit, OBSERVABLES, {names: np.asarray(rows)[:, None, :]})
        return StatevectorEstimator().run([pub]).result()[0].data.evs

    return evaluate


def _linear():
    circuit = QuantumCircuit(2)
    circuit.rx(A, 0)
    circuit.ryy(2 * B, 0, 1)
    circuit.ry(A + B, 1)
    circuit.p(C / 3, 0)
    circuit.rzx(A - C, 1, 0)
    circuit.rx(A, 1)
    return circuit


def _any():
    inner = QuantumCircuit(2, name="inner")
    inner.cry(A * B, 0, 1)
    circuit = QuantumCircuit(2, global_phase=A * C)
    circuit.h(0)
    circuit.u(A, B * B, C, 0)
    circuit.cp(A.sin(), 0, 1)
    circuit.append(inner.to_gate(), [1, 0])
    circuit.crx((np.pi - A) * (np.pi - C), 1, 0)
    circuit.rxx(A + B, 0, 1)
    circuit.barrier()
    circuit.iswap(0, 1)
    circuit.r(B, C, 1)
    return circuit


def test_it_is_the_stock_parameter_shift_where_that_applies():
    circuit, parameters = _linear(), [A, B, C]
    rows = np.random.default_rng(0).normal(size=(3, 3))
    cotangent = np.random.default_rng(1).normal(size=(3, 2))
    stock = ParamShiftEstimatorGradient(StatevectorEstimator())
    order = [parameters.index(parameter) for parameter in circuit.parameters]
    expected = np.zeros((3, 3))
    for k, observable in enumerate(OBSERVABLES):
        values = rows[:, order].tolist()
        result = stock.run([circuit] * 3, [observable] * 3, values, parameters=[parameters] * 3).result()
        expected += cotangent[:, k, None] * np.array(result.gradients)
    ours = ParameterShift(circuit, parameters, _runner).gradient(rows, cotangent)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [_linear, _any])
def test_it_is_the_slope_for_any_gates_and_expressions(make):
    circuit, parameters = make(), [B, A, C]
    rows = np.random.default_rng(0).normal(size=(3, 3))
    cotangent = np.random.default_rng(1).normal(size=(3, 2))
    evaluate = _runner(circuit, parameters)
    gradients = ParameterShift(circuit, parameters, _runner).gradient(rows, cotangent)
    for k, unit in enumerate(1e-5 * np.eye(3)):
        slopes = ((evaluate(rows + unit) - evaluate(rows - unit)) / 2e-5 * cotangent).sum(axis=1)
        np.testing.assert_allclose(gradients[:, k], slopes, rtol=0, atol=1e-8)


def test_rows_are_split_into_several_runs_without_changing_the_gradient(monkeypatch):
    from qlam_qiskit.network import gradients

    rows = np.random.default_rng(0).normal(size=(5, 3))
    cotangent = np.ones((5, 2))
    whole = ParameterShift(_linear(), [A, B, C], _runner).gradient(rows, cotangent)
    monkeypatch.setattr(gradients, "_ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(ParameterShift(_linear(), [A, B, C], _runner).gradient(rows, cotangent), whole)


def test_spsa_approaches_the_gradient_as_estimates_are_averaged():
    rng = np.random.default_rng(5)
    frequencies = rng.normal(size=(2, 6))

    def evaluate(rows):
        return np.sin(rows @ frequencies.T)

    row, cotangent = rng.normal(size=(1, 6)), rng.normal(size=(1, 2))
    gradient = (cotangent * np.cos(row @ frequencies.T)) @ frequencies
    count = 4000
    estimates = np.concatenate(
        [spsa_gradient(evaluate, row, cotangent, rng, perturbation=1e-3, directions=1) for _ in range(count)]
    )
    error = estimates.std(axis=0, ddof=1) / np.sqrt(count)
    assert (error < 0.1 * np.linalg.norm(gradient)).all()
    # Four standard errors: six parameters exceed them together in less than one seed of 2,500.
    assert (np.abs(estimates.mean(axis=0) - gradient[0]) < 4 * error).all()


def test_spsa_draws_new_directions_for_every_row_and_call():
    rows, cotangent = np.zeros((4, 5)), np.ones((4, 1))

    def evaluate(rows):
        return rows.sum(axis=1, keepdims=True)

    def estimate(rng):
        return spsa_gradient(evaluate, rows, cotangent, rng, directions=1)

    rng = np.random.default_rng(0)
    first, second = estimate(rng), estimate(rng)
    assert not np.array_equal(first, second)
    assert len(np.unique(first, axis=0)) > 1
    np.testing.assert_array_equal(estimate(np.random.default_rng(0)), first)
