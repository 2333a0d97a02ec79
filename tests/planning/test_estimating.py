"""Plans for an estimator: what they count is what the service's client would send."""

import math

import numpy as np
import pytest
from planning import service
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_estimator.prepare import prepare
from qiskit_ibm_runtime.fake_provider import FakeGuadalupeV2
from qiskit_ibm_runtime.options_models import EstimatorOptions

from qlam_qiskit.backends.ibm import runtime_options
from qlam_qiskit.planning.executions import executions_of_row, precision_shots
from qlam_qiskit.planning.plan import make_plan

DEVICE = FakeGuadalupeV2()


@pytest.fixture(scope="module")
def pubs():
    """Two pubs of five rows and four strings of Z at 500 shots."""
    circuit, angles = QuantumCircuit(3), ParameterVector("x", 6)
    for index, angle in enumerate(angles):
        circuit.ry(angle, index % 3)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    isa = generate_preset_pass_manager(1, backend=DEVICE, seed_transpiler=0).run(circuit)
    strings = [SparsePauliOp(label).apply_layout(isa.layout) for label in ("IIZ", "IZI", "ZII", "ZZZ")]
    values = np.random.default_rng(0).normal(size=(5, 1, 6))
    return [EstimatorPub.coerce((isa, strings, values, 500**-0.5 * (1 + 1e-12)))] * 2


OPTIONS = [
    {"resilience_level": 0},
    {"resilience_level": 1},
    {},
    {"resilience_level": 2},
    {"resilience_level": 0, "zne": True},
    {"resilience_level": 0, "twirling": {"gates": True, "randomizations": 7}},
    {"resilience_level": 1, "twirling": {"measure": True, "randomizations": 4, "shots_per_randomization": 100}},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_plan_counts_the_executions_that_the_client_sends(pubs, options):
    backend = service(DEVICE, shots=500, primitive="estimator", generation="executor", **options)
    plan = make_plan(pubs, backend)
    program, _ = prepare(pubs, EstimatorOptions(**runtime_options(backend.spec, "estimator")), backend=DEVICE)
    assert plan.executions == program.shots * sum(math.prod(item.shape) for item in program.items)
    assert plan.job_count == len(plan.jobs) == 1 and len(plan.jobs[0].pubs) == 2
    assert plan.qpu_seconds > 2 + plan.executions * 250e-6
    assert plan.fits


@pytest.mark.parametrize("limits", [{"executions": 2000}, {"job_seconds": 2.4}])
def test_jobs_are_split_by_the_limits_and_lose_nothing(pubs, limits):
    backend = service(DEVICE, shots=500, primitive="estimator", resilience_level=1, limits=limits)
    plan = make_plan(pubs, backend)
    assert 3 < len(plan.jobs) <= 10 and plan.fits
    assert all(job.executions <= 2000 or "executions" not in limits for job in plan.jobs)
    assert all(job.qpu_seconds <= 2.4 or "job_seconds" not in limits for job in plan.jobs)
    sent = [pub.parameter_values.as_array() for job in plan.jobs for pub in job.pubs]
    whole = [pub.parameter_values.as_array() for pub in pubs]
    assert np.array_equal(np.concatenate(sent), np.concatenate(whole))
    rows = [(tile.pub, tile.start, tile.rows) for job in plan.placement.jobs for (tile,) in job]
    assert sorted(rows) == rows and sum(count for *_, count in rows) == 10


def test_the_cap_is_of_what_is_sent(pubs):
    cheap = make_plan(pubs, service(DEVICE, shots=500, primitive="estimator", resilience_level=0, max_qpu_seconds=4))
    dear = make_plan(pubs, service(DEVICE, shots=500, primitive="estimator", resilience_level=2, max_qpu_seconds=4))
    assert cheap.fits and not dear.fits and "above max_qpu_seconds 4" in dear.reasons[0]
    assert dear.payload_mb > cheap.payload_mb


def test_what_the_client_would_refuse_is_said_beforehand(pubs):
    plan = make_plan(pubs, service(DEVICE, primitive="estimator", generation="executor", pec=True, max_qpu_seconds=1e9))
    assert "requires a noise model" in plan.reasons[0] and "generation: v2" in plan.reasons[0]


def test_a_precision_is_its_shots():
    for shots in (1, 100, 500, 1024, 4096, 10_000):
        assert precision_shots(shots**-0.5 * (1 + 1e-12)) == shots
    assert executions_of_row(None, 77) == 77
