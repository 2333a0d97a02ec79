"""Splitting into jobs: as few as the limits allow, nothing lost, priced by the documented formula."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import samples, sequence
from qiskit_ibm_runtime import RuntimeEncoder

from qlam_qiskit.backends import ServiceLimits
from qlam_qiskit.planning.limits import (
    Demand,
    demand_of,
    excess_of,
    job_payload_mb,
    job_seconds,
    split_into_jobs,
)


def demand(rows: int = 100, **changes) -> Demand:
    usual = {
        "shots": 1000,
        "rows": rows,
        "payload_mb": 0.1,
        "row_payload_mb": 0.01,
        "row_seconds": 0.3,
        "row_instructions": 1000,
        "row_parameters": 500,
    }
    return Demand(**{**usual, **changes})


def covered(jobs, demands) -> bool:
    rows = [
        sorted(r for job in jobs for s in job if s.pub == pub for r in range(s.first, s.last))
        for pub in range(len(demands))
    ]
    return rows == [list(range(d.rows)) for d in demands]


def test_what_fits_is_one_job():
    demands = [demand(), demand(20)]
    jobs, excesses = split_into_jobs(demands, ServiceLimits())
    assert len(jobs) == 1
    assert excesses == []
    assert covered(jobs, demands)


@pytest.mark.parametrize(
    ("limit", "rows_a_job"),
    [
        ({"executions": 25_000}, 25),
        ({"payload_mb": 0.305}, 20),
        ({"job_seconds": 11}, 30),
        ({"control_instructions": 40_999}, 40),
        ({"parameters": 5_000}, 10),
    ],
)
def test_each_limit_splits_as_often_as_it_must(limit, rows_a_job):
    demands = [demand()]
    jobs, excesses = split_into_jobs(demands, ServiceLimits(**limit))
    assert [share.last - share.first for (share,) in jobs][:-1] == [rows_a_job] * (len(jobs) - 1)
    assert len(jobs) == -(-100 // rows_a_job)
    assert excesses == []
    assert covered(jobs, demands)


def test_the_callers_own_bound_on_a_job_counts_too():
    jobs, _ = split_into_jobs([demand()], ServiceLimits(), max_seconds=11)
    assert len(jobs) == 4


def test_pubs_share_jobs_where_they_fit_unless_their_shots_differ():
    demands = [demand(10), demand(10), demand(10, shots=500)]
    jobs, _ = split_into_jobs(demands, ServiceLimits(executions=15_000))
    assert [[(s.pub, s.first, s.last) for s in job] for job in jobs] == [
        [(0, 0, 10), (1, 0, 5)],
        [(1, 5, 10)],
        [(2, 0, 10)],
    ]


def test_an_execution_that_no_job_can_hold_is_named_and_nothing_is_lost():
    demands = [demand(3, shots=50_000)]
    jobs, excesses = split_into_jobs(demands, ServiceLimits(executions=20_000))
    assert covered(jobs, demands)
    assert len(jobs) == 3
    assert excesses == ["circuit 0: one row takes 5e+04 executions, and a job 2e+04 at most"]


def test_the_excess_is_of_what_fewer_tiles_would_lessen():
    assert excess_of(demand(row_parameters=500), ServiceLimits(parameters=200)) == 2.5
    assert excess_of(demand(payload_mb=0.3, row_payload_mb=0.1), ServiceLimits(payload_mb=0.2)) == pytest.approx(2)
    assert excess_of(demand(shots=50_000), ServiceLimits(executions=20_000, job_seconds=1)) < 1


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([10, 20]), st.floats(0.01, 3), st.floats(0.01, 1)),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_job_exceeds_a_limit_and_every_row_is_in_one(pubs):
    demands = [demand(rows, shots=shots, payload_mb=base, row_payload_mb=each) for rows, shots, base, each in pubs]
    limits = ServiceLimits(executions=300, payload_mb=4.5)
    jobs, excesses = split_into_jobs(demands, limits)
    assert excesses == []
    assert covered(jobs, demands)
    for job in jobs:
        assert job_payload_mb(job, demands) <= 4.5 + 1e-9
        assert sum((s.last - s.first) * demands[s.pub].shots for s in job) <= 300
        assert len({demands[s.pub].shots for s in job}) == 1


def test_the_price_is_the_documented_formula():
    pub = samples(sequence("line", 3, 2), 7, shots=2000)
    asked = demand_of(pub, duration_s=50e-6, rep_delay_s=250e-6)
    jobs, _ = split_into_jobs([asked], ServiceLimits())
    assert job_seconds(jobs[0], [asked]) == pytest.approx(2 + 300e-6 * 7 * 2000)


def test_the_payload_is_what_the_client_would_send():
    pub = samples(sequence("line", 4, 28), 50, shots=1000)
    asked = demand_of(pub, 0.0, 0.0)
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    encoded = json.dumps({"pubs": [(pub.circuit, values, pub.shots)]}, cls=RuntimeEncoder)
    jobs, _ = split_into_jobs([asked], ServiceLimits())
    assert job_payload_mb(jobs[0], [asked]) == pytest.approx(len(encoded) / 1e6, rel=0.02)
    assert asked.row_parameters == pub.circuit.num_parameters == values.shape[1]
    assert np.isfinite(asked.row_instructions)


def test_control_instructions_are_counted_on_the_busiest_qubit():
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.rz(0.1, 0)
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    circuit.measure_all()
    # Qubit 1 has two CZ (5 each), qubit 0 one of each (2 + 1 + 5); a measurement is 10 and the start 50.
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    assert demand_of(SamplerPub.coerce((circuit,), 10), 0, 0).row_instructions == 50 + 10 + 10
