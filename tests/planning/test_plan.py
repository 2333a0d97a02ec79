"""Plans: what they cost and predict is right, what does not fit says why, and simulators run what devices would."""

import json
import time

import numpy as np
import pytest
from planning import broken, run_ideally, samples, sequence, service
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime.fake_provider import FakeBoston, FakeGuadalupeV2, FakeTorino

from qlam_qiskit.backends import load_registry, make_spec, open_backend
from qlam_qiskit.errors import BackendError, PlanningError
from qlam_qiskit.planning.plan import make_plan

KEYS = {
    "circuits", "two_qubit_gates", "two_qubit_depth", "duration_us", "estimated_fidelity", "executions", "jobs",
    "payload_mb", "qpu_seconds", "fits", "reasons",
}  # fmt: skip


def opened(shots=None, seed=3, **values):
    return open_backend(make_spec("here", values, "test"), shots=shots, seed=seed)


@pytest.fixture(scope="module")
def thousand():
    return samples(sequence("line", 6, 28), 1000, shots=4096)


def test_a_thousand_samples_are_planned_and_prepared_in_seconds(thousand):
    started = time.process_time()
    plan = make_plan([thousand], service(FakeTorino()))
    assert time.process_time() - started < 10
    assert len(plan.jobs) == 1
    report = plan.to_json()
    assert json.loads(json.dumps(report)) == report
    assert report.keys() >= KEYS
    # Two CZ for each of a step's five RZZ; even edges beside each other, then odd ones.
    assert (report["two_qubit_gates"], report["two_qubit_depth"]) == (28 * 5 * 2, 28 * 4)
    assert report["executions"] == plan.jobs[0].pubs[0].size * 4096
    assert report["calibrated"].startswith("2025-")
    assert 0.1 < report["estimated_fidelity"] < 0.5


@pytest.mark.parametrize("device", [FakeTorino, FakeBoston])
def test_tiling_divides_the_qpu_seconds_of_a_sample_by_eight_at_least(thousand, device):
    together = make_plan([thousand], service(device()))
    alone = make_plan([thousand], service(device()), tiles=1)
    assert alone.executions == 1000 * 4096
    assert alone.qpu_seconds > 8 * together.qpu_seconds
    assert together.qpu_seconds == pytest.approx(
        2 * len(together.jobs) + together.executions * (250e-6 + 1e-6 * together.duration_us)
    )


def test_a_fake_device_costs_as_the_device_and_runs_one_sample_per_execution(thousand):
    real = make_plan([thousand], service(FakeTorino(), max_qpu_seconds=1000))
    fake = make_plan([thousand], opened(kind="fake", name="FakeTorino"))
    for key in KEYS:
        assert fake.to_json()[key] == real.to_json()[key]
    assert len(fake.jobs) > 1
    for job in fake.jobs:
        (pub,) = job.pubs
        assert pub.size <= 100
        active = {pub.circuit.find_bit(qubit).index for instruction in pub.circuit.data for qubit in instruction.qubits}
        assert len(active) == 6
    chains = {tile.chain for job in fake.placement.jobs for tiles in job for tile in tiles}
    assert chains == {tile.chain for job in real.placement.jobs for tiles in job for tile in tiles}


@pytest.mark.parametrize(
    "backend",
    [{"kind": "aer"}, {"kind": "aer", "shots": 3000}, {"kind": "provider", "factory": "qiskit_aer:AerSimulator"}],
)
def test_simulators_without_a_device_run_what_they_are_given(backend, monkeypatch):
    monkeypatch.setenv("QLAM_ALLOW_FACTORY", "qiskit_aer:AerSimulator")
    pub = samples(sequence("line", 3, 2), 130)
    simulator = opened(**backend)
    plan = make_plan([pub], simulator)
    assert [job.pubs[0].size for job in plan.jobs] == [100, 30]
    assert (plan.tiles, plan.qpu_seconds, plan.estimated_fidelity, plan.fits) == (1, 0.0, 1.0, True)
    assert plan.jobs[0].pubs[0].shots == (simulator.shots or 1024)
    results = [simulator.sampler().run(job.pubs).result() for job in plan.jobs]
    (result,) = plan.placement.collect(results)
    assert result.data.meas.shape == (130,)


def test_what_a_noisy_simulator_runs_is_what_was_asked_for():
    circuit = QuantumCircuit(3)
    angles = [Parameter(f"x[{k}]") for k in range(3)]
    for qubit, angle in enumerate(angles):
        circuit.rx(angle, qubit)
    circuit.measure_all()
    rows = np.pi * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]])
    for values in ({"kind": "fake", "name": "FakeTorino"}, {"kind": "aer", "noise": "FakeTorino"}):
        backend = opened(shots=500, **values)
        plan = make_plan([SamplerPub.coerce((circuit, rows))], backend)
        (result,) = plan.placement.collect([backend.sampler().run(job.pubs).result() for job in plan.jobs])
        most = [max(counts, key=counts.get) for counts in (result.data.meas[row].get_counts() for row in range(4))]
        assert most == ["000", "001", "110", "111"]


@pytest.mark.parametrize("steps", [3, 12])
def test_the_predicted_fidelity_is_near_the_chance_that_a_mirror_circuit_returns(steps):
    forth = sequence("line", 4, steps, measure=False)
    values = np.random.default_rng(2).normal(size=forth.num_parameters)
    fixed = forth.assign_parameters(values)
    circuit = fixed.compose(fixed.inverse())
    # A parameter in every gate keeps the two halves from cancelling.
    free = QuantumCircuit(4)
    tiny = Parameter("x")
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        turned = operation.params[0] if len(qubits) > 1 else operation.params[0] + tiny
        getattr(free, operation.name)(turned, *qubits)
    free.measure_all()
    backend = opened(kind="aer", noise="FakeTorino", shots=4000)
    plan = make_plan([SamplerPub.coerce((free, [[0.0]]))], backend)
    (result,) = plan.placement.collect([backend.sampler().run(job.pubs).result() for job in plan.jobs])
    returned = result.data.meas[0].get_counts().get("0000", 0) / 4000
    # Not every error moves the outcome, so the chance is the higher of the two; and a sixteenth comes back by itself.
    assert plan.estimated_fidelity - 0.02 < returned < plan.estimated_fidelity + 0.12


def test_few_samples_run_on_the_best_chains():
    pub = samples(sequence("line", 4, 10), 2, shots=100)
    backend = service(FakeTorino())
    one = make_plan([samples(sequence("line", 4, 10), 1, shots=100)], backend)
    two, all_of_them = make_plan([pub], backend), make_plan([samples(sequence("line", 4, 10), 100, shots=100)], backend)
    assert (one.tiles, two.tiles) == (1, 2)
    assert one.estimated_fidelity >= two.estimated_fidelity > all_of_them.estimated_fidelity
    assert one.estimated_fidelity >= all_of_them.fidelity_range[1]


def test_what_is_too_much_says_so():
    pub = samples(sequence("line", 4, 28), 40, shots=1000)
    device = FakeGuadalupeV2()
    assert make_plan([pub], service(device)).fits
    dear = make_plan([pub], service(device, max_qpu_seconds=3.0))
    assert not dear.fits
    assert "s of QPU time are above max_qpu_seconds 3" in dear.reasons[0]
    poor = make_plan([pub], service(device, min_fidelity=0.9))
    assert poor.reasons[0].startswith("the predicted fidelity 0.")
    assert "is under min_fidelity 0.9" in poor.reasons[0]
    huge = make_plan([pub], service(device, limits={"executions": 500}))
    assert "one row takes 1,000 executions, and a job 500 at most" in huge.reasons[0]
    assert huge.jobs


def test_the_allowance_left_is_asked_for(monkeypatch):
    pub = samples(sequence("line", 4, 2), 4, shots=1000)
    backend = service(FakeGuadalupeV2())
    monkeypatch.setattr(type(backend), "allowance_s", lambda self: 1.5)
    plan = make_plan([pub], backend)
    assert plan.allowance_s == 1.5
    assert "are above the allowance left, 2 s" in plan.reasons[0]

    def unreachable(self):
        raise BackendError("no answer")

    monkeypatch.setattr(type(backend), "allowance_s", unreachable)
    assert make_plan([pub], backend).fits


def test_jobs_are_split_by_the_entrys_limits_and_lose_nothing():
    pub = samples(sequence("line", 3, 1), 31, shots=100)
    whole = make_plan([pub], service(FakeGuadalupeV2()))
    split = make_plan([pub], service(FakeGuadalupeV2(), limits={"executions": 200}))
    assert (len(whole.jobs), whole.job_count) == (1, 1)
    assert len(split.jobs) == split.job_count == -(-whole.jobs[0].pubs[0].size // 2)
    assert split.executions == whole.executions
    (result,) = split.placement.collect(run_ideally(split.jobs))
    assert result.data.meas.shape == (31,)


def test_an_execution_too_big_for_a_job_is_shared_by_fewer_samples():
    pub = samples(sequence("line", 3, 4), 12, shots=100)
    whole = make_plan([pub], service(FakeGuadalupeV2()))
    each = whole.jobs[0].pubs[0].circuit.num_parameters // whole.tiles
    fewer = make_plan([pub], service(FakeGuadalupeV2(), limits={"parameters": 2 * each}))
    assert 1 <= fewer.tiles <= 2 < whole.tiles
    assert fewer.fits
    assert all(job.pubs[0].circuit.num_parameters <= 2 * each for job in fewer.jobs)


def test_every_planned_circuit_is_one_that_the_device_executes():
    from qlam_qiskit.planning.isa import check_isa

    for template in ("line", "brickwork", "ring"):
        plan = make_plan([samples(sequence(template, 4, 3), 9, shots=50)], service(FakeTorino()))
        for job in plan.jobs:
            check_isa(job.pubs, FakeTorino().target, "fake_torino")
        if template != "ring":
            # No swaps: the circuit on the chain has the logical circuit's edges.
            assert plan.two_qubit_gates == {"line": 3 * 3 * 2, "brickwork": 3 * 2 * 3}[template]


def test_what_cannot_be_planned_is_an_error():
    backend = service(FakeGuadalupeV2())
    with pytest.raises(PlanningError, match="nothing to plan"):
        make_plan([], backend)
    with pytest.raises(PlanningError, match="nothing to plan"):
        make_plan([samples(sequence("line", 3, 1), 0, shots=5)], backend)
    with pytest.raises(PlanningError, match="circuit 0 measures nothing"):
        make_plan([samples(sequence("line", 3, 1, measure=False), 2, shots=5)], backend)
    narrow = FakeGuadalupeV2()
    narrow._target = broken(narrow, qubits=(1, 5, 8, 11, 12))
    with pytest.raises(PlanningError, match="no chain of 6 working qubits"):
        make_plan([samples(sequence("line", 6, 1), 2, shots=5)], service(narrow))


def test_every_built_in_backend_can_be_planned_for():
    pub = samples(sequence("line", 3, 1), 3)
    for name, spec in load_registry().backends.items():
        if spec.kind != "exact":
            assert make_plan([pub], open_backend(spec)).backend == name
