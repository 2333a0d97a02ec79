"""Random circuits of everything that is supported: states are Qiskit's, gradients are the slopes of the readout."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.quantum_info import SparsePauliOp, random_unitary
from references import assert_slopes, qiskit_states, random_arguments

from qlam_qiskit.engine import ExactEngine
from qlam_qiskit.memory_circuit import MemoryCircuit

# The order in which parameters sort is not the order in which they are listed; some names mean something elsewhere.
X = [*ParameterVector("x", 12)[9:12], Parameter("a b")]
W = [Parameter("x"), Parameter("sin"), Parameter("E")]
GATES = [
    gate
    for gate in lib.get_standard_gate_name_mapping().values()
    if gate.name not in ("measure", "reset", "delay", "global_phase")
]
LARGER = [lib.C3XGate(), lib.C4XGate(), lib.MCXGate(3), lib.C3SXGate(), lib.RCCXGate()]
PAULIS = ["".join(pair) for pair in ("XX", "YY", "ZZ", "XY", "ZI", "IX")]
EXAMPLES = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

numbers = st.floats(-4, 4, width=32)


@st.composite
def expressions(draw):
    """Draw an angle: a number, or an expression of inputs and weights."""
    x, y, w = draw(st.sampled_from(X)), draw(st.sampled_from(X)), draw(st.sampled_from(W))
    c = draw(numbers)
    choices = [
        x,
        w,
        c,
        x + c,
        2 * x,
        x + w,
        -x / 3,
        0.5 * x - y + 3 * w,
        x * w,
        x * y,
        x.sin(),
        (w * w + 1).log(),
        (np.pi - x) * (np.pi - y),
        (x + w).cos() * (c + 5),
        x - x,
    ]
    return choices[draw(st.integers(0, len(choices) - 1))]


@st.composite
def gates(draw, qubits):
    """Draw a gate on at most ``qubits`` qubits, standard or one of the kinds named ``special``."""
    special = ["large", "open", "p", "unitary", "evolution", "composite", "lookalike"]
    kind = draw(st.sampled_from(["standard"] * 6 + special))
    if kind in ("standard", "open"):
        wanted = [
            gate
            for gate in GATES
            if gate.num_qubits <= qubits and (kind == "standard" or hasattr(gate, "num_ctrl_qubits"))
        ]
        if not wanted:
            return lib.XGate()
        gate = draw(st.sampled_from(wanted))
        angles = [draw(expressions()) for _ in gate.params]
        if kind == "standard":
            return gate.base_class(*angles)
        return gate.base_class(*angles, ctrl_state=draw(st.integers(0, 2**gate.num_ctrl_qubits - 1)))
    if kind == "large":
        return draw(st.sampled_from([gate for gate in LARGER if gate.num_qubits <= qubits] or [lib.HGate()]))
    if kind == "p" and qubits > 1:
        return lib.MCPhaseGate(draw(expressions()), draw(st.integers(1, qubits - 1)))
    if kind == "unitary":
        return lib.UnitaryGate(random_unitary(2 ** draw(st.integers(1, min(qubits, 3))), seed=draw(st.integers(0, 99))))
    if kind == "evolution" and qubits > 1:
        label = draw(st.sampled_from(PAULIS))
        # Qiskit cannot evolve for a time whose parameters have cancelled.
        time = draw(expressions().filter(lambda angle: str(angle) != "0"))
        return lib.PauliEvolutionGate(SparsePauliOp([label], [draw(st.floats(0.25, 2))]), time=time)
    inner = draw(circuits(draw(st.integers(1, qubits)), most=3))
    inner.name = "h" if kind == "lookalike" else "composite"
    return inner.to_gate()


@st.composite
def circuits(draw, qubits, most=10):
    """Draw a circuit of such gates, with barriers and a global phase that may be an expression."""
    circuit = QuantumCircuit(qubits)
    for _ in range(draw(st.integers(1, most))):
        gate = draw(gates(qubits))
        circuit.append(gate, draw(st.permutations(range(qubits)))[: gate.num_qubits])
    circuit.global_phase = draw(expressions())
    return circuit


@st.composite
def memories(draw):
    """Draw a memory of such an update and query, the parameters that occur listed in no particular order."""
    qubits = draw(st.integers(1, 4))
    update = draw(circuits(qubits))
    for qubit in range(qubits):
        update.ry(0.3 + qubit, qubit)
    update.barrier()
    inputs = [parameter for parameter in draw(st.permutations(X)) if parameter in update.parameters]
    weights = [parameter for parameter in draw(st.permutations(W)) if parameter in update.parameters]
    if draw(st.booleans()):
        return MemoryCircuit(update, inputs, weights)
    query = draw(circuits(qubits, most=4))
    renamed = {parameter: Parameter(f"query of {parameter.name}") for parameter in query.parameters}
    return MemoryCircuit(update, inputs, weights, query.assign_parameters(renamed), list(renamed.values()))


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # Qiskit's own matrix of an evolution
@EXAMPLES
@given(memories(), st.integers(0, 2**16))
def test_states_are_qiskits(memory, seed):
    rng = np.random.default_rng(seed)
    engine = ExactEngine(memory, precision="float64")
    inputs, weights, _ = random_arguments(engine, rng, samples=2, steps=2)
    states = engine.statevector(inputs[:, :, 0], weights[0])
    np.testing.assert_allclose(states, qiskit_states(memory, inputs[:, :, 0], weights[0]), rtol=0, atol=1e-9)


@EXAMPLES
@given(memories(), st.integers(0, 2**16))
def test_gradients_are_slopes(memory, seed):
    rng = np.random.default_rng(seed)
    engine = ExactEngine(memory, precision="float64", threads=1)
    arguments = random_arguments(engine, rng, samples=2, steps=3, queries=2, readouts=2)
    cotangent = rng.normal(size=(2, 2, 1, 2, engine.dimension))

    def value(*changed):
        return (engine.forward(*changed, readout_steps=[0, 2])[0] * cotangent).sum()

    probabilities, tape = engine.forward(*arguments, readout_steps=[0, 2])
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=0, atol=1e-12)
    gradients = engine.backward(tape, cotangent)
    assert_slopes(value, arguments, (gradients.inputs, gradients.weights, gradients.queries), rng, tolerance=1e-6)
