"""Memory circuits: what they accept, how they unroll, and what their fingerprint depends on."""

import time

import numpy as np
import pytest
from qiskit import qpy
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, Parameter, ParameterVector, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector, random_clifford
from qiskit_aer import AerSimulator

from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit, local_rotation
from qlam_qiskit.templates import load_template


def _memory(input_name="x", weight_name="w", gate="rx", shift=0.0, query=None, angles=()):
    x, w = Parameter(input_name), Parameter(weight_name)
    update = QuantumCircuit(2)
    getattr(update, gate)(x + shift, 0)
    update.cx(0, 1)
    update.ry(x - 2 * w, 1)
    return MemoryCircuit(update, [x], [w], query, angles)


def test_the_default_query_reads_any_product_basis():
    circuit, angles = local_rotation(2)
    assert len(angles) == 4
    # RZ(-pi/2) then RY(-pi/2) turn Y, and RY(-pi/2) turns X, onto Z.
    turned = Operator(circuit.assign_parameters([-np.pi / 2, -np.pi / 2, 0, -np.pi / 2]))
    z, y, x = (SparsePauliOp(label) for label in ("IZ", "IY", "XI"))
    np.testing.assert_allclose((turned.adjoint() @ Operator(z) @ turned).data, Operator(y).data, atol=1e-12)
    z = SparsePauliOp("ZI")
    np.testing.assert_allclose((turned.adjoint() @ Operator(z) @ turned).data, Operator(x).data, atol=1e-12)


def test_unrolling_repeats_the_update_with_each_steps_own_inputs_and_the_same_weights():
    memory = load_template("line", 2)
    unrolled = memory.unroll(3, measure=True)
    phi = memory.sequence_inputs(3)
    assert len(phi) == 3 * memory.num_inputs
    assert set(unrolled.parameters) == {*phi, *memory.weights, *memory.query_angles}
    assert unrolled.name == f"{memory.update.name}_x3"
    one, query = (sum(circuit.count_ops().values()) for circuit in (memory.update, memory.query))
    counts = unrolled.count_ops()
    assert counts.pop("measure") == 2
    counts.pop("barrier")
    assert sum(counts.values()) == 3 * one + query
    assert set(memory.unroll(3, query=False).parameters) == {*phi, *memory.weights}

    rng = np.random.default_rng(0)
    inputs, weights = rng.normal(size=(3, memory.num_inputs)), rng.normal(size=memory.num_weights)
    state = Statevector.from_label("00")
    for step in inputs:
        bound = dict(zip((*memory.inputs, *memory.weights), (*step, *weights), strict=True))
        state = state.evolve(memory.update.assign_parameters(bound))
    bound = dict(zip((*phi, *memory.weights), (*inputs.ravel(), *weights), strict=True))
    whole = memory.unroll(3, query=False).assign_parameters(bound)
    np.testing.assert_allclose(Statevector(whole).data, state.data, rtol=0, atol=1e-12)


def test_a_sequences_parameters_are_the_same_objects_every_time():
    memory = load_template("ring", 2)
    assert list(memory.sequence_inputs(4)) == list(memory.sequence_inputs(4))
    assert memory.unroll(4).parameters == memory.unroll(4).parameters
    with pytest.raises(CircuitError, match="at least 1 step, not 0"):
        memory.unroll(0)


@pytest.mark.parametrize(
    ("inputs", "weights"),
    [
        (["phi[1]", "phi[0]"], ["theta"]),
        (["a", "phi[3]"], ["phi[0]"]),
        (["phi", "x"], ["alpha[1]"]),
        (["x[10]", "x[2]"], ["alpha"]),
        (["alpha[0]", "alpha[1]"], ["phi"]),
    ],
)
def test_unrolling_survives_names_that_its_own_parameters_would_like(inputs, weights):
    x, y = (Parameter(name) for name in inputs)
    w = Parameter(*weights)
    update = QuantumCircuit(2)
    update.rx(x + 2 * y, 0)
    update.ry(x * w, 1)
    memory = MemoryCircuit(update, [x, y], [w])
    unrolled = memory.unroll(3)
    assert unrolled.num_parameters == 6 + 1 + 4
    values = dict(zip(memory.sequence_inputs(3), range(6), strict=True)) | {w: 0.5}
    values |= dict.fromkeys(memory.query_angles, 0.0)
    angles = [float(i.operation.params[0]) for i in unrolled.assign_parameters(values).data][:6]
    np.testing.assert_allclose(angles, [2, 0, 8, 1, 14, 2])


def test_lookalikes_of_standard_gates_are_unrolled_to_what_backends_compute_rightly():
    x, w = Parameter("x"), Parameter("w")
    lookalike = QuantumCircuit(1, name="rx", global_phase=w)
    lookalike.ry(2 * x, 0)
    nested = QuantumCircuit(2, name="nested")
    nested.append(lookalike.to_gate(), [1])
    update = QuantumCircuit(2)
    update.append(nested.to_gate(), [1, 0])
    update.append(lookalike.to_gate(), [1])
    update.rx(w, 1)
    memory = MemoryCircuit(update, [x], [w])
    unrolled = memory.unroll(2, query=False)
    assert unrolled.count_ops() == {"ry": 4, "rx": 2}
    bound = unrolled.assign_parameters(dict(zip((*memory.sequence_inputs(2), w), (0.3, 0.5, 0.7), strict=True)))
    bound.save_statevector()
    state = Statevector.from_label("00")
    for step in (0.3, 0.5):
        state = state.evolve(update.assign_parameters({x: step, w: 0.7}))
    aer = AerSimulator(method="statevector").run(bound).result().get_statevector()
    np.testing.assert_allclose(aer.data, state.data, rtol=0, atol=1e-12)


def test_an_unrolled_sequence_survives_qpy(tmp_path):
    memory = load_template("brickwork", 3)
    with (tmp_path / "circuit.qpy").open("wb") as file:
        qpy.dump(memory.unroll(3, measure=True), file)
    with (tmp_path / "circuit.qpy").open("rb") as file:
        (loaded,) = qpy.load(file)
    assert [p.name for p in loaded.parameters] == [p.name for p in memory.unroll(3).parameters]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda c, x, w: (c, [x], []), "update circuit has parameters that no list names: w"),
        (lambda c, x, w: (c, [x], [w, Parameter("v")]), "update circuit lacks these listed parameters: v"),
        (lambda c, x, w: (c, [x, x], [w]), "update circuit's parameters are listed twice: w, x, x"),
        (lambda c, x, w: (c, [x], [w, x]), "listed twice"),
        (lambda c, x, w: (c, [x], [w], QuantumCircuit(1), []), "query has 1 qubits and the update 2"),
        (lambda c, x, w: (c, [x], [w], QuantumCircuit(2), [Parameter("a")]), "query circuit lacks .* parameters: a"),
        (
            lambda c, x, w: (c, [x], [w], _turn(Parameter("a")), []),
            "query circuit has parameters that no list names: a",
        ),
        (lambda c, x, w: (c, [x], [w], _turn(w), [w]), "update and the query both have parameters named w"),
        (lambda c, x, w: (c, [x], [w], _turn(p := Parameter("x")), [p]), "both have parameters named x"),
    ],
)
def test_parameters_must_be_listed_once_each(arguments, message):
    x, w = Parameter("x"), Parameter("w")
    update = QuantumCircuit(2)
    update.rx(x, 0)
    update.ry(w, 1)
    with pytest.raises(CircuitError, match=message) as raised:
        MemoryCircuit(*arguments(update, x, w))
    assert "\n" not in str(raised.value)


def _turn(angle):
    circuit = QuantumCircuit(2)
    circuit.rz(angle, 0)
    return circuit


def test_names_do_not_change_the_fingerprint():
    fingerprint = _memory().fingerprint
    assert len(fingerprint) == 16
    for names in [("w", "x"), ("phi_0", "theta_0"), ("theta_0", "phi_0"), ("alpha_0", "alpha[0]"), ("z y", "θ")]:
        assert _memory(*names).fingerprint == fingerprint


def test_whatever_changes_the_computation_changes_the_fingerprint():
    fixed = QuantumCircuit(2)
    memories = [
        _memory(),
        _memory(gate="ry"),
        _memory(shift=1e-9),
        _memory(query=fixed, angles=[]),
        _memory(query=_turn(a := Parameter("a")), angles=[a]),
        _memory(query=_turn(2 * a), angles=[a]),
        *(load_template("ring", qubits, {"layers": layers}) for qubits, layers in [(2, 1), (3, 1), (3, 2)]),
    ]
    x, y = ParameterVector("v", 2)
    for order in ([x, y], [y, x]):
        update = QuantumCircuit(2)
        update.rx(x, 0)
        update.rx(2 * y, 1)
        memories.append(MemoryCircuit(update, order, []))
    memories.append(MemoryCircuit(update, [x], [y]))
    phased = update.copy()
    phased.global_phase = 0.1
    memories.append(MemoryCircuit(phased, [x], [y]))
    assert len({memory.fingerprint for memory in memories}) == len(memories)


def test_what_stands_behind_a_gates_name_changes_the_fingerprint():
    def fingerprint(gate):
        update = QuantumCircuit(3)
        update.append(gate, range(gate.num_qubits))
        return MemoryCircuit(update, [], []).fingerprint

    def composite(angle):
        inner = QuantumCircuit(1, name="inner")
        inner.rx(angle, 0)
        outer = QuantumCircuit(2, name="outer")
        outer.append(inner.to_gate(), [0])
        return outer.to_gate()

    operators = [SparsePauliOp(label) for label in ("XX", "ZZ")]
    gates = [
        composite(0.1),
        composite(0.2),
        lib.CXGate(),
        lib.CXGate(ctrl_state=0),
        *(lib.PauliEvolutionGate(operator, time=0.3) for operator in operators),
        lib.UnitaryGate(np.diag([1, 1, 1, 1j])),
        lib.UnitaryGate(np.diag([1, 1, 1, np.exp(1j * (np.pi / 2 + 1e-10))])),
    ]
    gates += [AnnotatedOperation(lib.RXGate(angle), ControlModifier(1, state)) for angle in (1, 2) for state in (0, 1)]
    gates += [random_clifford(2, seed=seed) for seed in (1, 2)]
    gates += [lib.PermutationGate(pattern) for pattern in ([1, 2, 0], [2, 0, 1])]
    assert len({fingerprint(gate) for gate in gates}) == len(gates)
    assert fingerprint(composite(0.1)) == fingerprint(composite(0.1))
    fingerprint(Gate("opaque", 1, []))


def test_a_symbolic_global_phase_does_not_grow_with_the_sequence():
    phi, theta, alone = (Parameter(name) for name in ("phi", "theta", "alone"))
    update = QuantumCircuit(2, global_phase=(phi * theta).sin() ** 2 + phi**3 / (1 + theta**2) + alone)
    update.rx(phi, 0)
    update.ry(theta, 1)
    update.cx(0, 1)
    memory = MemoryCircuit(update, [phi, alone], [theta])
    began = time.process_time()
    circuit = memory.unroll(200)
    assert time.process_time() - began < 20
    assert len(circuit.parameters) == 2 * 200 + 1 + memory.num_query_angles

    # The parameter of the phase alone has no effect, and is bound all the same.
    plain = update.copy()
    plain.global_phase = 0
    generator = np.random.default_rng(1)
    inputs, weight, alpha = generator.normal(size=(200, 2)), generator.normal(size=1), generator.normal(size=4)
    found = [
        Statevector(
            one.unroll(200).assign_parameters(
                dict(zip(one.sequence_inputs(200), values.flatten(), strict=True))
                | dict(zip((theta, *one.query_angles), (*weight, *alpha), strict=True))
            )
        ).probabilities()
        for one, values in ((memory, inputs), (MemoryCircuit(plain, [phi], [theta]), inputs[:, 0]))
    ]
    np.testing.assert_allclose(*found, atol=1e-12)
