"""Random memories with ancillas, resets, measurements and channels, and what Aer's density matrices say of them."""

import numpy as np
from qiskit import transpile
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit import library as lib
from qiskit.quantum_info import Kraus, SuperOp, random_quantum_channel, random_unitary
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
    phase_damping_error,
    thermal_relaxation_error,
)
from references import assert_slopes, bound_sequence, random_arguments

from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.memory_circuit import MemoryCircuit

GATES = [
    gate
    for gate in lib.get_standard_gate_name_mapping().values()
    if gate.name not in ("measure", "reset", "delay", "global_phase")
]


def _angle(rng, inputs, weights):
    """Draw an angle: a number, or an expression of inputs, of weights, or of both."""
    x, w, c = inputs[rng.integers(len(inputs))], weights[rng.integers(len(weights))], rng.normal()
    choices = [c, x, w, w, 2 * x + c, w - c, x + w, 0.5 * w * w, w.sin() + c, x * w, x.cos()]
    return choices[rng.integers(len(choices))]


def _channel(rng, width):
    """Draw a channel on one or two qubits, as Qiskit's or as Aer's instruction."""
    kind = rng.integers(9)
    if kind == 0 and width > 1:
        return depolarizing_error(rng.uniform(0, 0.9), 2).to_instruction()
    if kind == 1 and width > 1:
        return Kraus(random_quantum_channel(4, rank=3, seed=int(rng.integers(1000)))).to_instruction()
    if kind == 2 and width > 1:
        return SuperOp(random_quantum_channel(4, rank=2, seed=int(rng.integers(1000)))).to_instruction()
    if kind == 3:
        return Kraus(random_quantum_channel(2, seed=int(rng.integers(1000)))).to_instruction()
    if kind == 4:
        return thermal_relaxation_error(50.0, rng.uniform(10, 90), rng.uniform(1, 40), 0.1).to_instruction()
    if kind == 5:
        return amplitude_damping_error(rng.uniform(0, 1)).to_instruction()
    if kind == 6:
        return phase_damping_error(rng.uniform(0, 1)).to_instruction()
    if kind == 7:
        return pauli_error([("X", 0.1), ("Y", 0.2), ("I", 0.7)]).to_instruction()
    return depolarizing_error(rng.uniform(0, 0.9), 1).to_instruction()


def random_open_memory(rng, most_qubits=3, gates=14):
    """Draw a memory of 1 to ``most_qubits`` qubits and 0 to 2 ancillas, its query of two-qubit gates and channels."""
    qubits, spare = int(rng.integers(1, most_qubits + 1)), int(rng.integers(0, 3))
    width = qubits + spare
    ancillas = sorted(rng.choice(width, spare, replace=False).tolist())
    inputs, weights = [Parameter(f"x{k}") for k in range(3)], [Parameter(f"w{k}") for k in range(3)]
    # Inputs keep away from ancillas in half of the memories, so that gadgets can be taken out.
    apart = rng.random() < 0.5
    update = QuantumCircuit(width, 3)
    unmeasured = list(range(3))
    for _ in range(gates):
        where = rng.permutation(width).tolist()
        kind = rng.integers(10)
        if kind < 6:
            gate = GATES[rng.integers(len(GATES))]
            if gate.num_qubits > width:
                continue
            where = where[: gate.num_qubits]
            allowed = weights if apart and set(where) & set(ancillas) else inputs
            update.append(gate.base_class(*(_angle(rng, allowed, weights) for _ in gate.params)), where)
        elif kind < 8:
            channel = _channel(rng, width)
            update.append(channel, where[: channel.num_qubits])
        elif kind == 8:
            update.reset(where[0])
        elif unmeasured:
            update.measure(where[0], unmeasured.pop())
    emissions = [bit for bit in range(3) if bit not in unmeasured]
    rng.shuffle(emissions)
    if rng.random() < 0.3:
        update.append(lib.UnitaryGate(random_unitary(2, seed=int(rng.integers(1000)))), [0])
    update.ry(inputs[0], int(rng.choice([q for q in range(width) if q not in ancillas])))
    query = angles = None
    if rng.random() < 0.5:
        angles = [Parameter("a0"), Parameter("a1")]
        query = QuantumCircuit(qubits)
        query.rx(angles[0] - 0.2, 0)
        query.append(_channel(rng, 1), [0])
        query.rzx(angles[1], 0, qubits - 1) if qubits > 1 else query.ry(angles[1], 0)
    used = update.parameters
    return MemoryCircuit(
        update,
        [x for x in inputs if x in used],
        [w for w in weights if w in used],
        query,
        angles or (),
        ancillas=ancillas,
        emissions=emissions[: len(emissions) - int(rng.integers(0, 2))] if emissions else [],
    )


def aer_reading(memory, inputs, weights, query):
    """Run one sequence (T, P) on Aer's density matrices.

    Returns the bitstring probabilities after the query, the state before it, and the probabilities of the emissions
    (T, E).
    """
    circuit = _averaged(bound_sequence(memory, inputs, weights, emissions=True))
    circuit.save_density_matrix(memory.memory_qubits, label="before")
    turned = memory.query.assign_parameters(dict(zip(memory.query_angles, query, strict=True)))
    circuit.compose(turned, memory.memory_qubits, inplace=True)
    circuit.save_density_matrix(memory.memory_qubits, label="after")
    simulator = AerSimulator(method="density_matrix")
    data = simulator.run(transpile(circuit, simulator, optimization_level=0), shots=1).result().data()
    emitted = [data[f"emission {bit}"][1] for bit in range(len(inputs) * memory.num_emissions)]
    after = np.real(np.diag(np.asarray(data["after"])))
    return after, np.asarray(data["before"]), np.reshape(emitted, (len(inputs), memory.num_emissions))


def assert_agrees_with_aer(memory, rng, steps=3):
    """Compare readouts, emissions and, by differences, gradients of the open engine with Aer's density matrices."""
    engine = OpenEngine(memory, precision="float64", threads=1)
    inputs, weights, queries = random_arguments(engine, rng, samples=2, steps=steps, readouts=steps)
    everything = {"readout_steps": range(steps), "emissions": True}
    values, tape = engine.forward(inputs, weights, queries, **everything)
    for sample in range(2):
        found, state, emitted = aer_reading(memory, inputs[sample, :, 0], weights[0], queries[sample, -1, 0, 0])
        np.testing.assert_allclose(values[sample, -1, 0, 0], found, rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.trace(state), 1, rtol=0, atol=1e-10)
        np.testing.assert_allclose(tape.emissions[sample, :, 0], emitted, rtol=0, atol=1e-10)
    cotangent, of_emissions = rng.normal(size=values.shape), rng.normal(size=tape.emissions.shape)
    gradients = engine.backward(tape, cotangent, emissions=of_emissions)

    def value(*changed):
        values, tape = engine.forward(*changed, **everything)
        return (values * cotangent).sum() + (tape.emissions * of_emissions).sum()

    parts = (gradients.inputs, gradients.weights, gradients.queries)
    assert_slopes(value, (inputs, weights, queries), parts, rng)


def _averaged(circuit):
    """Replace measurements by what they do on average, to dephase, and save the probabilities of the emissions.

    Aer's density matrices would take one outcome.
    """
    on_average = QuantumCircuit(circuit.num_qubits)
    emissions = {
        bit: index for register in circuit.cregs if register.name == "emission" for index, bit in enumerate(register)
    }
    for instruction in circuit.data:
        where = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        if instruction.operation.name != "measure":
            on_average.append(instruction.operation, where)
            continue
        if instruction.clbits[0] in emissions:
            on_average.save_probabilities(where, label=f"emission {emissions[instruction.clbits[0]]}")
        on_average.append(phase_damping_error(1.0).to_instruction(), where)
    return on_average
