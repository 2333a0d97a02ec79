"""Random parametrized circuits and Pauli sums, of all that estimators are asked for."""

import numpy as np
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.quantum_info import SparsePauliOp

# These sort otherwise than they are made; some names mean something elsewhere, one is an expression.
AWKWARD = [*ParameterVector("x", 12)[1:12:9], *map(Parameter, ("alpha[0]", "a + b", "E", "θ", "x_10", "weights"))]
ROTATIONS = [lib.RXGate, lib.RYGate, lib.RZGate, lib.PhaseGate]
INTERACTIONS = [lib.RXXGate, lib.RYYGate, lib.RZZGate, lib.RZXGate]
CONTROLLED = [lib.CRXGate, lib.CRYGate, lib.CRZGate, lib.CPhaseGate]
FIXED = [lib.HGate(), lib.SXGate(), lib.TGate(), lib.SdgGate(), lib.XGate(), lib.YGate()]
ENTANGLING = [lib.CXGate(), lib.CYGate(), lib.CZGate(), lib.SwapGate()]
# What the parameter shift rule, or Aer without a transpiler, does not take.
FURTHER = [lib.iSwapGate(), lib.CXGate(ctrl_state=0), lib.CCXGate(), lib.CHGate()]


def random_circuit(rng, qubits, gates=25, shiftable=False):
    """Draw a circuit whose angles are numbers or expressions of parameters, most of them used several times."""
    angled = ROTATIONS + INTERACTIONS + ([] if shiftable else CONTROLLED)
    fixed = FIXED + ENTANGLING + ([] if shiftable else FURTHER)
    circuit = QuantumCircuit(qubits)
    while len(circuit.data) < gates:
        gate = angled[rng.integers(len(angled))](_angle(rng)) if rng.random() < 0.6 else fixed[rng.integers(len(fixed))]
        if gate.num_qubits <= qubits:
            circuit.append(gate, rng.permutation(qubits)[: gate.num_qubits].tolist())
    return circuit


def _angle(rng):
    first, second = (AWKWARD[k] for k in rng.choice(len(AWKWARD), 2, replace=False))
    number = rng.normal()
    choices = [first, 2 * first, first + number, number * first - second, first * second, first.sin() + second, number]
    return choices[rng.integers(len(choices))]


def random_sum(rng, qubits, terms=6):
    """Draw a Pauli sum with real coefficients; terms may repeat."""
    labels = ["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(terms)]
    return SparsePauliOp([*labels, "I" * qubits], rng.normal(size=terms + 1))


def random_rows(rng, circuit, *shape):
    """Draw values (radians) of all parameters."""
    return rng.normal(size=(*shape, circuit.num_parameters))


def assert_close(ours, theirs, tolerance):
    """Compare within an absolute tolerance."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
