"""Gradients from more circuits: exact by parameter shift for any gates and expressions, unbiased by SPSA."""

import numpy as np
import pytest
from qiskit.circuit import Instruction, Parameter, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import DensityMatrix, Kraus, SparsePauliOp, SuperOp, random_quantum_channel
from qiskit_aer.noise import amplitude_damping_error
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient

from qlam_qiskit.errors import CircuitError
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


def _mixed_runner(circuit, parameters):
    circuit = circuit.decompose("PauliEvolution")  # as run: its matrix takes a solver that warns

    def evaluate(rows):
        values = []
        for row in rows:
            values_of = {p: value for p, value in zip(parameters, row, strict=True) if p in circuit.parameters}
            state = DensityMatrix(circuit.assign_parameters(values_of))
            values.append([state.expectation_value(observable, [0, 1]).real for observable in OBSERVABLES])
        return np.array(values)

    return evaluate


def _with_channels(gates):
    """Put gates between channels of all kinds: Kraus operators, superoperators, Aer's errors, resets."""
    circuit = QuantumCircuit(3)
    circuit.ry(0.4, 0)
    circuit.h([1, 2])
    circuit.append(Kraus(random_quantum_channel(2, seed=1)).to_instruction(), [0])
    for gate, qubits in gates:
        circuit.append(gate, qubits)
        circuit.append(amplitude_damping_error(0.2).to_instruction(), [qubits[0]])
    circuit.append(SuperOp(random_quantum_channel(4, seed=2)).to_instruction(), [2, 0])
    circuit.reset(2)
    circuit.append(lib.XXPlusYYGate(A - B, C), [1, 2])
    circuit.reset(2)
    return circuit


def _nested():
    inner = QuantumCircuit(2, name="nested")
    inner.cry(A * B, 0, 1)
    inner.reset(1)
    inner.append(lib.XXMinusYYGate(C, A), [0, 1])
    return inner.to_instruction()


@pytest.mark.parametrize(
    "gates",
    [
        [(lib.CRXGate(A), [0, 1]), (lib.CUGate(A, B, C, A * B), [1, 2]), (lib.CPhaseGate(B), [0, 2])],
        [(_nested(), [0, 1]), (lib.UGate(A, B, C), [2])],
        [(lib.PauliEvolutionGate(SparsePauliOp(["XX", "ZI"], [0.5, 1.0]), time=A), [0, 1]), (lib.RGate(B, C), [0])],
        [(lib.XXPlusYYGate(A, 0.2).control(1, annotated=True), [2, 0, 1]), (lib.CRZGate(C, ctrl_state=0), [1, 0])],
        [(lib.iSwapGate(), [0, 1]), (lib.UnitaryGate(lib.CRYGate(0.3).to_matrix()), [2, 1]), (lib.RZXGate(C), [0, 1])],
    ],
    ids=["controlled", "nested", "evolution", "annotated", "fixed"],
)
def test_channels_may_stand_between_gates_of_any_generator(gates):
    circuit, parameters = _with_channels(gates), [A, B, C]
    rng = np.random.default_rng(0)
    rows, cotangent = rng.normal(size=(1, 3)), rng.normal(size=(1, 2))
    evaluate = _mixed_runner(circuit, parameters)
    gradient = ParameterShift(circuit, parameters, _mixed_runner).gradient(rows, cotangent)
    steps = 1e-5 * np.eye(3)
    slopes = [((evaluate(rows + step) - evaluate(rows - step)) / 2e-5 * cotangent).sum() for step in steps]
    np.testing.assert_allclose(gradient[0], slopes, rtol=0, atol=1e-8)


def test_a_gate_without_a_shift_rule_is_named_with_its_place():
    inner = QuantumCircuit(1, name="outer")
    inner.append(Instruction("wish", 1, 0, [A]), [0])
    circuit = QuantumCircuit(2, name="mine")
    circuit.ry(B, 0)
    circuit.append(inner.to_instruction(), [1])
    message = r"'mine', instruction 1: 'outer' on qubits \[1\] has no shift rule \(through 'wish'.*adjoint or spsa"
    with pytest.raises(CircuitError, match=message):
        ParameterShift(circuit, [A, B], _runner)


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
