"""Every gate alone, against Qiskit's matrix of it; instructions that are no gates are named with their place."""

import numpy as np
import pytest
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    Gate,
    InverseModifier,
    Measure,
    Parameter,
    QuantumCircuit,
    Reset,
)
from qiskit.circuit import library as lib
from qiskit.quantum_info import Kraus, SparsePauliOp, random_clifford, random_unitary
from qiskit_aer.library import SaveStatevector
from references import qiskit_states

from qlam_qiskit.engine import ExactEngine, compile_plan
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit

ANGLES = [Parameter(name) for name in ("x0", "x1", "x2", "x3")]
STANDARD = {name: gate for name, gate in lib.get_standard_gate_name_mapping().items() if isinstance(gate, Gate)}
OTHER = {
    "c3x": lib.C3XGate(),
    "c4x": lib.C4XGate(),
    "mcx": lib.MCXGate(4),
    "mcp": lib.MCPhaseGate(ANGLES[0], 3),
    "mcx, open": lib.MCXGate(3, ctrl_state=2),
    "rccx": lib.RCCXGate(),
    "c3sx": lib.C3SXGate(),
    "permutation": lib.PermutationGate([2, 0, 1]),
    "unitary, 1 qubit": lib.UnitaryGate(random_unitary(2, seed=1)),
    "unitary, 2 qubits": lib.UnitaryGate(random_unitary(4, seed=2)),
    "unitary, 3 qubits": lib.UnitaryGate(random_unitary(8, seed=3)),
    "diagonal": lib.DiagonalGate(np.exp(1j * np.arange(4))),
    "evolution": lib.PauliEvolutionGate(SparsePauliOp(["XX", "YY", "ZZ"], [0.3, 0.7, 1.1]), time=ANGLES[0]),
    "controlled rotation": lib.RZXGate(ANGLES[0]).control(1, annotated=False),
    "doubly controlled rotation": lib.RYGate(ANGLES[0]).control(2, ctrl_state=1, annotated=False),
    "annotated": AnnotatedOperation(lib.RXGate(ANGLES[0]), [ControlModifier(2, 1), InverseModifier()]),
    "clifford": random_clifford(3, seed=1),
    "linear function": lib.LinearFunction([[1, 1], [0, 1]]),
    "state preparation": lib.StatePreparation([0.6, 0, 0, 0.8j]),
}


def _assert_agrees(gate):
    """Run the gate between rotations that leave no amplitude zero, and compare the state with Qiskit's."""
    circuit = QuantumCircuit(gate.num_qubits + 1)
    for qubit in range(circuit.num_qubits):
        circuit.u(0.4 + qubit, 0.9 * qubit, -0.3, qubit)
    # The gate's qubits in no sorted order, and one that it leaves alone.
    circuit.append(gate, list(range(gate.num_qubits, 0, -1)))
    for qubit in range(circuit.num_qubits):
        circuit.u(0.2 - qubit, 0.5, 0.8 * qubit, qubit)
    memory = MemoryCircuit(circuit, list(circuit.parameters), [])
    inputs = np.random.default_rng(0).normal(size=(2, 2, memory.num_inputs))
    states = ExactEngine(memory, precision="float64").statevector(inputs, np.zeros(0))
    np.testing.assert_allclose(states, qiskit_states(memory, inputs, np.zeros(0)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", STANDARD)
def test_every_standard_gate(name):
    gate = STANDARD[name].base_class(*ANGLES[: len(STANDARD[name].params)])
    _assert_agrees(gate)


@pytest.mark.parametrize("name", [name for name, gate in STANDARD.items() if hasattr(gate, "ctrl_state")])
def test_every_controlled_gate_with_open_controls(name):
    closed = STANDARD[name]
    for state in range(2**closed.num_ctrl_qubits - 1):
        _assert_agrees(closed.base_class(*ANGLES[: len(closed.params)], ctrl_state=state))


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")  # Qiskit's own matrix of an evolution
@pytest.mark.parametrize("name", OTHER)
def test_gates_of_qiskits_library(name):
    _assert_agrees(OTHER[name])


@pytest.mark.parametrize("name", ["rx", "x", "cx", "rzz", "h"])
def test_a_gate_that_only_bears_a_standard_name_is_what_its_definition_says(name):
    qubits = STANDARD[name].num_qubits
    definition = QuantumCircuit(qubits, name=name, global_phase=0.3)
    definition.ry(2 * ANGLES[0], 0)
    definition.t(qubits - 1)
    _assert_agrees(definition.to_gate())


def test_a_circuit_appended_as_an_instruction_is_its_gates():
    part = QuantumCircuit(2, name="part", global_phase=ANGLES[1])
    part.rx(ANGLES[0], 0)
    part.cx(0, 1)
    inner = QuantumCircuit(2, name="outer")
    inner.append(part, [1, 0])
    inner.append(QuantumCircuit(2, name="empty", global_phase=0.2), [0, 1])
    inner.barrier()
    inner.delay(20, 0)
    _assert_agrees(inner.to_instruction())


def _hidden_reset():
    part = QuantumCircuit(1, name="innocent")
    part.h(0)
    part.reset(0)
    outer = QuantumCircuit(1, name="outer")
    outer.append(part, [0])
    return outer.to_instruction()


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        (Measure(), ["'measure'"]),
        (Reset(), ["'reset'"]),
        (lib.Initialize([1, 0]), ["'initialize'"]),
        (Gate("oracle", 2, []), ["'oracle'", "[2, 1]"]),
        (_hidden_reset(), ["'outer'", "'reset'"]),
        (AnnotatedOperation(Gate("oracle", 1, []), ControlModifier(1)), ["'annotated'"]),
        (Kraus([np.diag([1, 0.6]), [[0, 0.8], [0, 0]]]).to_instruction(), ["'kraus'"]),
        (SaveStatevector(2), ["'save_statevector'"]),
    ],
)
def test_what_is_no_gate_is_named_with_its_place(operation, names):
    circuit = QuantumCircuit(3, 1, name="mine")
    circuit.rx(ANGLES[0], 0)
    circuit.h(0)
    circuit.append(operation, [2, 1][: operation.num_qubits], [0][: operation.num_clbits])
    with pytest.raises(CircuitError) as raised:
        compile_plan(circuit, ANGLES[:1], ())
    message = str(raised.value)
    assert "\n" not in message
    for name in ["'mine'", "instruction 2", "unitary gates only", *names]:
        assert name in message


def test_control_flow_is_named_with_its_place():
    circuit = QuantumCircuit(1, 1, name="mine")
    circuit.h(0)
    with circuit.if_test((0, 1)):
        circuit.x(0)
    with pytest.raises(CircuitError, match=r"'mine', instruction 1: 'if_else' on qubits \[0\]"):
        compile_plan(circuit, (), ())
