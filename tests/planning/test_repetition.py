"""A memory's sequence written by one step of it: the same gates, time, bits and angles as of the whole circuit."""

import numpy as np
import pytest
from planning import service
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import DensityMatrix
from qiskit_ibm_runtime.fake_provider import FakeBoston, FakeBrisbane, FakeManilaV2, FakeTorino

from qlam_qiskit.backends.targets import part_of_target
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.memory_sequence import MemorySequence
from qlam_qiskit.planning import make_plan
from qlam_qiskit.planning.economy import EconomicalCircuit, economize
from qlam_qiskit.planning.repetition import EconomicalSequence, SequenceWriter
from qlam_qiskit.planning.sequence_pub import SequencePub
from qlam_qiskit.planning.usage import usage_of
from qlam_qiskit.templates import load_template

CHAINS = {
    "cz": (FakeTorino, (0, 1, 2, 3)),
    "measure_2": (FakeBoston, (3, 2, 1, 0)),
    "ecr": (FakeBrisbane, (3, 2, 1, 0)),
}


def of_memory(memory: MemoryCircuit, steps: int, emissions: bool = False, seed: int = 0) -> MemorySequence:
    """Give a sequence with random weights bound."""
    sequence = memory.sequence(steps, query=not emissions, measure=not emissions, emissions=emissions)
    weights = np.random.default_rng(seed).normal(size=memory.num_weights)
    return sequence.bound(dict(zip(memory.weights, weights, strict=True)))


def emitting_twice() -> MemoryCircuit:
    """Measure an ancilla and, last of all, a qubit of the memory; forget a third bit."""
    x, y, w = Parameter("x"), Parameter("y"), Parameter("w")
    update = QuantumCircuit(4, 3, name="emitting")
    update.reset(3)
    update.rx(0.3, 3)
    update.measure(3, 2)
    update.ry(x * y, 0)
    update.rz(y - w / 2, 1)
    update.cz(0, 1)
    update.rxx(0.4, 1, 2)
    update.h(2)
    update.cx(2, 3)
    update.measure(3, 0)
    update.reset(3)
    update.barrier()
    update.sx(2)
    update.ry(w, 0)
    update.measure(1, 1)
    return MemoryCircuit(update, [x, y], [w], ancillas=[3], emissions=[1, 0])


MEMORIES = {
    "line": (load_template("line", 4), False),
    "brickwork": (load_template("brickwork", 4), False),
    "damped": (load_template("damped_line", 3), False),
    "emitting": (load_template("damped_line", 3), True),
    "own": (emitting_twice(), True),
    "own, read at its end": (emitting_twice(), False),
}


def written_out(written: EconomicalSequence) -> QuantumCircuit:
    circuit = QuantumCircuit(written.sequence.num_qubits)
    circuit.add_register(*(ClassicalRegister(size, name) for name, size in written.registers.items()))
    written.append_to(circuit, range(circuit.num_qubits), circuit.clbits, ParameterVector("a", written.num_angles))
    return circuit


def by_wire(circuit: QuantumCircuit) -> list[list[tuple]]:
    """List what happens to each qubit, angles that are parameters left out."""
    wires = [[] for _ in circuit.qubits]
    for item in circuit.data:
        angles = [
            None if getattr(angle, "parameters", ()) else round(float(angle), 9) for angle in item.operation.params
        ]
        bits = [circuit.find_bit(bit).index for bit in item.clbits]
        qubits = [circuit.find_bit(qubit).index for qubit in item.qubits]
        for qubit in qubits:
            wires[qubit].append((item.operation.name, tuple(qubits), tuple(bits), tuple(angles)))
    return wires


@pytest.mark.parametrize("steps", [2, 12])
@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("name", MEMORIES)
def test_it_has_the_gates_the_bits_and_the_time_of_the_whole_circuit(name, kind, steps):
    device, chain = CHAINS[kind]
    target, (memory, emissions) = device().target, MEMORIES[name]
    sequence, part = of_memory(memory, steps, emissions), part_of_target(device().target, chain)
    written, whole = SequenceWriter().write(sequence, part, None), economize(sequence.circuit(), part)
    assert isinstance(written, EconomicalSequence)
    ours = written_out(written)
    assert by_wire(ours) == by_wire(whole.circuit)
    assert ours.num_parameters == written.num_angles == len(whole.angles)
    assert written.measured() == whole.measured()
    assert written.num_nonlocal_gates() == whole.circuit.num_nonlocal_gates()
    for where in (chain, None):
        found, expected = written.usage(target, where), usage_of(whole.circuit, target, where)
        for counts in ("gates", "entangling"):
            listed = {key: values.tolist() for key, values in getattr(expected, counts).items()}
            assert {key: values.tolist() for key, values in getattr(found, counts).items()} == listed
        assert found.measured.tolist() == expected.measured.tolist()
        assert found.two_qubit_depth == expected.two_qubit_depth
        assert found.duration_s == pytest.approx(expected.duration_s, rel=1e-12)
        np.testing.assert_allclose(found.idle_s, expected.idle_s, atol=1e-14)


@pytest.mark.parametrize("name", ["line", "damped"])
def test_its_angles_make_the_same_state(name):
    memory, rng, samples, steps = MEMORIES[name][0], np.random.default_rng(5), 3, 4
    sequence = of_memory(memory, steps).bound({memory.query_angles[0]: 0.3})
    free = memory.query_angles[1:]
    phi, queries = rng.normal(size=(samples, steps, memory.num_inputs)), rng.normal(size=(samples, len(free)))
    device, chain = CHAINS["cz"]
    written = SequenceWriter().write(sequence, part_of_target(device().target, chain), None)
    ours, theirs = (
        circuit.remove_final_measurements(inplace=False) for circuit in (written_out(written), sequence.circuit())
    )
    values = written.values(phi, queries, free)
    for row in range(samples):
        bound = dict(zip((*sequence.phi, *free), (*phi[row].ravel(), *queries[row]), strict=True))
        expected = DensityMatrix(theirs.assign_parameters(bound)).probabilities()
        np.testing.assert_allclose(
            DensityMatrix(ours.assign_parameters(values[row])).probabilities(), expected, atol=1e-12
        )


def test_steps_whose_gates_cancel_or_must_be_routed_are_written_as_a_whole():
    x = Parameter("x")
    update = QuantumCircuit(2)
    update.cz(0, 1)
    update.ry(x, 0)
    update.rx(x, 1)
    update.cz(0, 1)
    device, chain = CHAINS["cz"]
    writer = SequenceWriter()
    for memory in (MemoryCircuit(update, [x], []), load_template("ring", 4), load_template("line", 1)):
        part = part_of_target(device().target, chain[: memory.num_qubits])
        assert isinstance(writer.write(of_memory(memory, 5), part, None), EconomicalCircuit)


def sequence_pub(memory: MemoryCircuit, steps: int, samples: int) -> SequencePub:
    sequence = of_memory(memory, steps)
    rng = np.random.default_rng(steps)
    shapes = (samples, steps, memory.num_inputs), (samples, memory.num_query_angles)
    phi, queries = (rng.normal(size=shape) for shape in shapes)
    return SequencePub(sequence, phi, memory.query_angles, queries, 100)


def test_a_plan_has_the_figures_of_the_circuits_written_out_and_writes_none(monkeypatch):
    memory = load_template("damped_line", 2)
    pubs = [sequence_pub(memory, steps, samples=7) for steps in (60, 150)]
    opened = service(FakeTorino(), limits={"executions": 2000})
    whole = make_plan([pub.sampler_pub() for pub in pubs], opened)
    written = []
    write = MemorySequence.circuit
    monkeypatch.setattr(MemorySequence, "circuit", lambda self: written.append(self.steps) or write(self))
    plan = make_plan([sequence_pub(memory, steps, samples=7) for steps in (60, 150)], opened)
    ours, theirs = plan.to_json(), whole.to_json()
    assert ours.pop("payload_mb") == pytest.approx(theirs.pop("payload_mb"), rel=0.02)
    # Times were added up in another order.
    for name in ("estimated_fidelity", "fidelity_range"):
        assert ours.pop(name) == pytest.approx(theirs.pop(name), rel=1e-9)
    assert ours == theirs
    assert max(written) <= 3
    assert plan.placement == whole.placement
    for job, expected in zip(plan.jobs, whole.jobs, strict=True):
        for pub, other in zip(job.pubs, expected.pubs, strict=True):
            assert by_wire(pub.circuit) == by_wire(other.circuit)


def test_a_device_with_faster_forms_is_planned_in_them():
    plan = make_plan([sequence_pub(load_template("damped_line", 2), 70, samples=2)], service(FakeBoston()))
    counts = plan.jobs[0].pubs[0].circuit.count_ops()
    assert counts["reset_2"] == 70 * plan.tiles and "reset" not in counts


@pytest.mark.parametrize("device", [FakeManilaV2])
def test_the_written_circuit_takes_its_samples_values(device):
    memory = load_template("line", 2)
    pub = sequence_pub(memory, 5, samples=4)
    plan = make_plan([pub], service(device()))
    (job,) = plan.jobs
    (tiles,), (physical,) = plan.placement.jobs[0], job.pubs
    bare = pub.circuit.remove_final_measurements(inplace=False)
    logical = pub.parameter_values.as_array(bare.parameters)
    rows = physical.parameter_values.as_array(physical.circuit.parameters)
    for tile in tiles:
        own = physical.circuit.remove_final_measurements(inplace=False)
        for row in range(tile.rows):
            state = DensityMatrix(own.assign_parameters(rows[row]))
            found = state.probabilities(list(tile.measured["meas"]))
            expected = DensityMatrix(bare.assign_parameters(logical[tile.start + row])).probabilities()
            np.testing.assert_allclose(found, expected, atol=1e-12)
