"""Tiling: every sample runs once, on disjoint qubits, and comes back as if it had run alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import run_ideally, samples, sequence, service
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Statevector
from qiskit_ibm_runtime.fake_provider import FakeGuadalupeV2

from qlam_qiskit.errors import PlanningError
from qlam_qiskit.planning.plan import make_plan
from qlam_qiskit.planning.tiling import Placement, deal


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6).flatmap(
        lambda rows: st.tuples(st.just(rows), st.integers(len(rows), 25))
    )
)
@settings(max_examples=200, deadline=None)
def test_every_row_gets_one_tile_and_executions_are_as_few_as_can_be(case):
    rows, chains = case
    dealt = deal(dict(enumerate(rows)), list(range(chains)))
    assert len(dealt) <= chains
    assert len({chain for *_, chain in dealt}) == len(dealt)
    executions = max(count for _, _, count, _ in dealt)
    for pub, count in enumerate(rows):
        covered = sorted(row for p, start, n, _ in dealt if p == pub for row in range(start, start + n))
        assert covered == list(range(count))
    # One execution fewer would need more tiles than there are chains.
    if executions > 1:
        assert sum(-(-count // (executions - 1)) for count in rows) > chains


def probabilities(pub: SamplerPub) -> np.ndarray:
    """Compute each row's exact outcome probabilities of the whole circuit's first register."""
    bare = pub.circuit.remove_final_measurements(inplace=False)
    values = pub.parameter_values.as_array(pub.circuit.parameters).reshape(pub.size, -1)
    return np.array([Statevector(bare.assign_parameters(row)).probabilities() for row in values])


def assert_sampled_from(bits, expected: np.ndarray) -> None:
    """Compare frequencies with probabilities, five standard deviations wide."""
    flat = bits.reshape(int(np.prod(bits.shape)))
    for row, probability in enumerate(expected):
        counts = flat[row].get_int_counts()
        found = np.array([counts.get(k, 0) for k in range(len(probability))]) / bits.num_shots
        error = np.sqrt(probability * (1 - probability) / bits.num_shots)
        assert (np.abs(found - probability) <= 5 * error + 1e-9).all()


def test_tiled_samples_agree_with_samples_run_alone():
    pub = samples(sequence("line", 3, 4), 10, shots=4000)
    plan = make_plan([pub], service(FakeGuadalupeV2()))
    assert plan.tiles >= 3
    (job,) = plan.jobs
    (tiled,) = job.pubs
    assert tiled.size == -(-10 // plan.tiles)
    (result,) = plan.placement.collect(run_ideally(plan.jobs))
    assert result.data.meas.shape == (10,)
    assert result.data.meas.num_shots == 4000
    assert_sampled_from(result.data.meas, probabilities(pub))


def test_tiles_share_no_qubit_and_know_what_they_measured():
    plan = make_plan([samples(sequence("line", 3, 2), 9, shots=10)], service(FakeGuadalupeV2()))
    (tiles,) = plan.placement.jobs[0]
    used = [qubit for tile in tiles for qubit in tile.chain]
    assert len(used) == len(set(used))
    circuit = plan.jobs[0].pubs[0].circuit
    for instruction in circuit.get_instructions("measure"):
        ((register, index),) = circuit.find_bit(instruction.clbits[0]).registers
        (tile,) = (tile for tile in tiles if register.name.startswith(tile.prefix))
        physical = circuit.find_bit(instruction.qubits[0]).index
        assert tile.measured[register.name.removeprefix(tile.prefix)][index] == physical
        assert physical in tile.chain


def test_several_circuits_share_executions_and_keep_their_shapes():
    registers = [
        samples(sequence("line", 3, 2, seed=1), 6, shots=3000),
        SamplerPub.coerce(
            (sequence("brickwork", 3, 1, seed=2), np.random.default_rng(3).normal(size=(2, 2, 12)), 3000)
        ),
        samples(sequence("ring", 3, 1, seed=4), 5, shots=3000),
    ]
    plan = make_plan(registers, service(FakeGuadalupeV2()))
    assert len(plan.jobs) == 1
    assert plan.tiles > 3
    results = plan.placement.collect(run_ideally(plan.jobs))
    assert [result.data.meas.shape for result in results] == [(6,), (2, 2), (5,)]
    for pub, result in zip(registers, results, strict=True):
        assert_sampled_from(result.data.meas, probabilities(pub))


def test_more_circuits_than_chains_take_turns():
    registers = [samples(sequence("line", 4, 1, seed=seed), 2, shots=2000, seed=seed) for seed in range(7)]
    plan = make_plan(registers, service(FakeGuadalupeV2()))
    assert plan.circuits > 1
    for pub, result in zip(registers, plan.placement.collect(run_ideally(plan.jobs)), strict=True):
        assert_sampled_from(result.data.meas, probabilities(pub))


def test_circuits_of_other_widths_and_shots_are_kept_apart():
    pubs = [
        samples(sequence("line", 2, 1), 3, shots=500),
        samples(sequence("line", 3, 1), 3, shots=500),
        samples(sequence("line", 3, 1), 3, shots=700),
    ]
    plan = make_plan(pubs, service(FakeGuadalupeV2()))
    assert all(len({pub.shots for pub in job.pubs}) == 1 for job in plan.jobs)
    results = plan.placement.collect(run_ideally(plan.jobs))
    assert [result.data.meas.num_shots for result in results] == [500, 500, 700]


def test_registers_keep_their_names_and_bits_without_parameters_too():
    qubits, low, high = QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(1, "high")
    circuit = QuantumCircuit(qubits, low, high)
    circuit.x([0, 2])
    circuit.measure(qubits, [low[1], low[0], high[0]])
    free = QuantumCircuit(1)
    free.ry(Parameter("x"), 0)
    free.measure_all()
    plan = make_plan(
        [SamplerPub.coerce((circuit,), 50), SamplerPub.coerce((free, [[0.0], [np.pi]]), 50)],
        service(FakeGuadalupeV2()),
    )
    fixed, turned = plan.placement.collect(run_ideally(plan.jobs))
    assert fixed.data.shape == ()
    assert fixed.data.low.get_counts() == {"10": 50}
    assert fixed.data.high.get_counts() == {"1": 50}
    assert [turned.data.meas[row].get_counts() for row in (0, 1)] == [{"0": 50}, {"1": 50}]


@pytest.fixture(scope="module")
def split_plan():
    """Plan seven samples in several jobs, with their results."""
    limits = {"executions": 400}
    plan = make_plan(
        [samples(sequence("line", 3, 1), 23, shots=200)], service(FakeGuadalupeV2(), shots=200, limits=limits)
    )
    assert len(plan.jobs) > 1
    return plan, run_ideally(plan.jobs)


def test_a_placement_survives_json_and_results_may_be_plain_registers(split_plan):
    plan, results = split_plan
    placement = Placement.from_json(json.loads(json.dumps(plan.placement.to_json())))
    assert placement == plan.placement
    plain = {
        number: [{name: pub.data[name] for name in pub.data} for pub in result] for number, result in enumerate(results)
    }
    (ours,), (again,) = plan.placement.collect(results), placement.collect(plain)
    np.testing.assert_array_equal(ours.data.meas.array, again.data.meas.array)


def test_results_that_are_not_what_was_planned_are_refused(split_plan):
    plan, results = split_plan
    collect = plan.placement.collect
    with pytest.raises(PlanningError, match="the result of job 1 is missing"):
        collect(results[:1])
    with pytest.raises(PlanningError, match="job 0 has 2 results, and 1 were planned"):
        collect([[*results[0], *results[0]], *results[1:]])
    with pytest.raises(PlanningError, match="job 0 has no register t0_meas"):
        collect([[{}], *results[1:]])
    name = "t0_meas"
    cut = {key: value if key != name else value[:1] for key, value in results[0][0].data.items()}
    with pytest.raises(PlanningError, match=r"register t0_meas: 1 rows of 3 bits, and 2 of 3 were planned"):
        collect([[cut], *results[1:]])
    fewer = {key: value.slice_shots(range(100)) for key, value in results[0][0].data.items()}
    with pytest.raises(PlanningError, match=r"different shots: \[100, 200\]"):
        collect([[fewer], *results[1:]])
