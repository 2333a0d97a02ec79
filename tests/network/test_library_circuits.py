"""Circuits of Qiskit's library, and its random ones: values of its statevector, gradients of differences."""

import numpy as np
import pytest
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    InverseModifier,
    Parameter,
    PowerModifier,
    QuantumCircuit,
)
from qiskit.circuit import library as lib
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary
from random_expectations import assert_close, random_rows, random_sum

from qlam_qiskit.network import AdjointEstimator, AdjointEstimatorGradient


def _with(gate, qubits=3):
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    circuit.rx(Parameter("first"), 0)
    circuit.append(gate, range(gate.num_qubits))
    circuit.ry(Parameter("last"), 0)
    return circuit


def _inner():
    circuit = QuantumCircuit(2, global_phase=Parameter("phase"))
    circuit.rx(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rzz(2 * Parameter("b"), 0, 1)
    return circuit


CIRCUITS = {
    "real_amplitudes": lambda: lib.real_amplitudes(3, entanglement="full", reps=2),
    "efficient_su2": lambda: lib.efficient_su2(3, su2_gates=["rx", "y", "u"], reps=1),
    "zz_feature_map": lambda: lib.zz_feature_map(3, reps=2),
    "pauli_feature_map": lambda: lib.pauli_feature_map(3, paulis=["X", "YZ", "ZZ"], reps=1),
    "n_local": lambda: lib.n_local(3, ["ry", "h", "p"], ["crx", "cu"], entanglement="circular", reps=1),
    "excitation_preserving": lambda: lib.excitation_preserving(3, mode="fsim", reps=1),
    "qaoa": lambda: lib.qaoa_ansatz(SparsePauliOp(["ZZI", "IZZ", "ZIZ"], [1.0, -0.5, 0.3]), reps=2),
    "iqp": lambda: lib.iqp(np.array([[1, 2, 0], [2, 3, 1], [0, 1, 2]])).compose(_with(lib.HGate())),
    "unitary": lambda: _with(lib.UnitaryGate(random_unitary(8, seed=1))),
    "controlled unitary": lambda: _with(lib.UnitaryGate(random_unitary(4, seed=2)).control(1, ctrl_state=0)),
    "controlled u": lambda: _with(lib.CUGate(Parameter("a"), Parameter("b"), Parameter("c"), Parameter("d"))),
    "open controls": lambda: _with(lib.RYGate(Parameter("a")).control(2, ctrl_state=1, annotated=False)),
    "controlled gate of a circuit": lambda: _with(_inner().to_gate().control(1)),
    "inverse": lambda: _with(_inner().to_gate().inverse()),
    "annotated": lambda: _with(
        AnnotatedOperation(lib.SXGate(), [PowerModifier(3), InverseModifier(), ControlModifier(2, 2)])
    ),
    "annotated with a parameter": lambda: _with(lib.RXGate(Parameter("a")).control(1, annotated=True)),
    "xx plus yy": lambda: _with(lib.XXPlusYYGate(Parameter("a"), Parameter("b"))),
    "xx minus yy": lambda: _with(lib.XXMinusYYGate(Parameter("a"), Parameter("b"))),
    "multi-controlled phase": lambda: _with(lib.MCPhaseGate(Parameter("a"), 2)),
    "qft": lambda: _with(lib.QFTGate(3)),
    "permutation": lambda: _with(lib.PermutationGate([2, 0, 1])),
    "diagonal": lambda: _with(lib.DiagonalGate([1, 1j, -1, np.exp(0.3j)])),
    "relative phase toffoli": lambda: _with(lib.RCCXGate()),
    "state preparation": lambda: lib.StatePreparation([0.6, 0, 0, 0.8j]).definition.compose(_with(lib.ECRGate(), 2)),
}


def _check(circuit, seed=0):
    rng = np.random.default_rng(seed)
    observable, row = random_sum(rng, circuit.num_qubits), random_rows(rng, circuit)

    def value(row):
        state = Statevector(circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True))))
        return state.expectation_value(observable).real

    assert_close(AdjointEstimator().run([(circuit, observable, row)]).result()[0].data.evs, value(row), 1e-9)
    if circuit.num_parameters:
        (gradient,) = AdjointEstimatorGradient().run([circuit], [observable], [row]).result().gradients
        slopes = [(value(row + 1e-5 * unit) - value(row - 1e-5 * unit)) / 2e-5 for unit in np.eye(len(row))]
        assert_close(gradient, slopes, 1e-6)


@pytest.mark.parametrize("name", CIRCUITS)
def test_circuits_of_the_library(name):
    _check(CIRCUITS[name]())


@pytest.mark.parametrize("seed", range(12))
def test_random_circuits_of_qiskit(seed):
    drawn = random_circuit(1 + seed % 5, 6, max_operands=4, seed=seed)
    free = QuantumCircuit(drawn.num_qubits, global_phase=drawn.global_phase)
    for instruction in drawn.data:
        operation = instruction.operation.to_mutable()
        operation.params = [Parameter(f"p{len(free.data)}_{k}") for k in range(len(operation.params))]
        free.append(operation, instruction.qubits)
    _check(free, seed)
