"""Submitting, resuming, fetching and cancelling where several processes, full disks and slow services meet."""

import errno
import os
import sqlite3

import numpy as np
import pytest
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.jobs import Clock, JobError, JobState, Ledger, LedgerError, Policy


@pytest.fixture
def local_backend():
    """Open a backend that runs here."""

    def opener(**settings):
        return open_backend(make_spec("here", {"kind": "aer", "shots": 64, **settings}, "test"))

    return opener


@pytest.fixture
def no_space(monkeypatch):
    """Give a function that makes every flush to disk fail from now on, as on a full disk."""
    real = os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda full_now=True: monkeypatch.setattr(os, "fsync", full if full_now else real)


@pytest.mark.parametrize("settings", [{}, {"noise": "FakeManila"}, {"kind": "fake", "name": "FakeManila"}])
def test_backends_of_this_machine_run_at_once_through_the_same_ledger(
    local_backend, tiny_pub, ledger, settings, patience
):
    values = settings if "kind" not in settings else {**settings, "seed": 3}
    backend = local_backend(**values) if "kind" not in settings else open_backend(make_spec("here", values, "test"))
    sent = jobs.submit_pubs([[tiny_pub(backend)]] * 2, backend, ledger, **patience)
    assert sent.complete
    ones = jobs.results(ledger, sent.id)[1][0].data.meas.get_counts(1).get("01", 0)
    assert ones == 64 if settings == {} else ones > 50
    assert [event.target for event in ledger.events(sent.id)].count("saved") == 2


def test_a_local_run_repeats_from_its_recorded_seed(local_backend, tiny_pub, ledger, home, patience):
    backend = local_backend()
    sent = jobs.submit_pubs([[tiny_pub(backend, rows=[[1.0, 2.0]])]], backend, ledger, **patience)
    first = jobs.results(ledger, sent.id)[0][0].data.meas.array
    (home / "submissions" / sent.id / "job-000" / "result.npz").unlink()
    with pytest.raises(JobError, match="missing or damaged"):
        jobs.results(ledger, sent.id)
    [lost] = jobs.fetch(ledger, sent.id, **patience)
    assert lost.jobs[0].state is JobState.FAILED and "`qlam jobs resume --failed`" in lost.problems[0]
    assert jobs.resume(ledger, sent.id, failed=True, **patience)[0].complete
    assert np.array_equal(jobs.results(ledger, sent.id)[0][0].data.meas.array, first)


def test_what_is_needed_later_is_recorded(open_service, tiny_pub, ledger, patience):
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, metadata={"run": "abc"}, **patience)
    assert sent.details["metadata"] == {"run": "abc"}
    assert sent.details["spec"]["name"] == "ibm_manila" and sent.details["device"] == "ibm_manila"
    assert sent.details["calibration"]["time"].startswith("20")
    assert set(sent.details["calibration"]["readout"]) and "qiskit" in sent.details["versions"]
    inputs = jobs.files.read_inputs(ledger.home, sent.id, 0)
    assert inputs[0].circuit.layout is not None and inputs[0].shots == 64


def test_fetching_again_from_another_process_is_harmless(open_service, tiny_pub, ledger, home, server, patience):
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    jobs.fetch(ledger, sent.id, **patience)
    asked = server.state.requests.total()
    with Ledger(home) as other:
        assert jobs.fetch(other, **patience) == []
        assert jobs.fetch(other, sent.id, **patience)[0].complete
        assert jobs.resume(other, sent.id, **patience)[0].complete
    assert server.state.requests.total() == asked
    assert len(server.state.accepted) == 1


def test_two_processes_resume_one_submission_without_sending_twice(
    open_service, tiny_pub, ledger, home, server, patience
):
    backend = open_service()
    server.state.usage_consumed = server.state.usage_limit
    with pytest.raises(JobError):
        jobs.submit_pubs([[tiny_pub(backend)] for _ in range(6)], backend, ledger, **patience)
    server.state.usage_consumed = 0
    server.state.faults.add(Fault("POST /jobs", "slow", times=None, seconds=0.05))
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                with Ledger(home) as mine:
                    jobs.resume(mine, **patience)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    jobs.fetch(ledger, **patience)
    assert len(server.state.accepted) == 6
    assert all(len(same) == 1 for same in server.state.live_jobs().values())
    assert jobs.show(ledger)[0].complete


def test_posts_keep_to_the_rate_limit(open_service, tiny_pub, ledger, skipping_time):
    backend = open_service()
    clock = Clock(skipping_time.now, skipping_time.sleep)
    sent = jobs.submit_pubs([[tiny_pub(backend)] for _ in range(12)], backend, ledger, policy=Policy(), clock=clock)
    posted = sorted(event.at for event in ledger.events(sent.id) if event.target == "sending")
    assert len(posted) == 12
    assert all(later - earlier >= 60 for earlier, later in zip(posted, posted[5:], strict=False))
    assert posted[-1] - posted[0] < 140


def test_a_full_disk_before_sending_sends_nothing(open_service, tiny_pub, ledger, home, server, no_space, patience):
    backend = open_service()
    no_space()
    with pytest.raises(JobError, match=r"inputs cannot be written \(No space left on device\); nothing was sent"):
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    assert server.state.accepted == [] and ledger.submissions() == []
    assert list((home / "submissions").iterdir()) == []


def test_a_full_disk_while_saving_keeps_the_job_for_later(
    open_service, tiny_pub, ledger, home, server, no_space, patience
):
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    no_space()
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "cannot be saved (No space left on device); nothing is lost: free some space" in fetched.problems[0]
    assert fetched.jobs[0].state is JobState.FINISHED
    assert sorted(path.name for path in (home / "submissions" / sent.id / "job-000").iterdir()) == [
        "circuits.qpy",
        "inputs.npz",
    ]
    no_space(False)
    assert jobs.resume(ledger, **patience)[0].complete and len(server.state.accepted) == 1


def test_a_full_ledger_before_sending_sends_nothing(open_service, tiny_pub, ledger, home, server, patience):
    backend = open_service()
    connection = ledger._database._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(LedgerError, match="disk is full"):
        metadata = {"long": "x" * 100_000}
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, metadata=metadata, **patience)
    assert server.state.accepted == [] and list((home / "submissions").iterdir()) == []


def test_a_ledger_that_is_locked_while_the_job_is_accepted_finds_it_later(
    open_service, tiny_pub, home, server, patience
):
    """The worst moment: the service has the job, and its id cannot be written down."""
    backend = open_service()
    blockers = []

    def lock():
        blocker = sqlite3.connect(home / "ledger.sqlite", isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        blockers.append(blocker)

    server.state.faults.add(Fault("POST /jobs", "after", callback=lock))
    with Ledger(home, busy_seconds=0.1) as ledger, pytest.raises(LedgerError, match="locked by another program"):
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    blockers[0].execute("ROLLBACK")
    blockers[0].close()
    with Ledger(home, now=patience["clock"].now) as ledger:
        assert [job.state for job in jobs.show(ledger)[0].jobs] == [JobState.SENDING]
        assert jobs.resume(ledger, **patience)[0].complete
    assert len(server.state.accepted) == 1


def test_waiting_reports_backs_off_and_ends(open_service, tiny_pub, ledger, server, patience, skipping_time):
    server.state.polls = 6
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    seen = []
    skipping_time.pauses.clear()
    finished = jobs.wait(ledger, sent.id, progress=seen.append, **patience)
    assert finished.complete and seen[-1].complete and len(seen) >= 3
    assert skipping_time.pauses == sorted(skipping_time.pauses) and skipping_time.pauses[0] < 5


def test_waiting_ends_at_its_deadline_and_leaves_the_job(open_service, tiny_pub, ledger, server, patience):
    server.state.polls = 10_000
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    with pytest.raises(JobError, match=r"not ended after 600 s; `qlam jobs fetch` gets it later"):
        jobs.wait(ledger, sent.id, timeout=600, **patience)
    assert ledger.jobs(sent.id)[0].state is JobState.SENT
    assert jobs.cancel(ledger, sent.id, **patience).jobs[0].state is JobState.CANCELLED
    assert server.state.jobs[sent.jobs[0].remote_id].status == "Cancelled"


def test_a_duplicate_made_by_a_client_we_could_not_adjust_is_cancelled(
    open_service, tiny_pub, ledger, server, patience, monkeypatch
):
    """Without our adjustment the client posts again after a 504, and the ledger has to notice."""
    monkeypatch.setattr("qlam_qiskit.jobs.connections.ibm.never_post_twice", lambda service: None)
    server.state.polls = 2
    server.state.faults.add(Fault("POST /jobs", "accept_status", status=504))
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    assert len(server.state.accepted) == 2
    assert jobs.wait(ledger, sent.id, **patience).complete
    statuses = sorted(job.status for job in server.state.jobs.values())
    assert statuses == ["Cancelled", "Completed"]


@pytest.mark.parametrize("generation", ["v2", "executor"])
@pytest.mark.parametrize("level", [0, 1])
def test_the_estimator_runs_with_resilience_levels(open_service, ledger, server, patience, generation, level, home):
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter
    from qiskit.primitives.containers.estimator_pub import EstimatorPub
    from qiskit.quantum_info import SparsePauliOp

    backend = open_service(generation=generation, primitive="estimator", resilience_level=level)
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    isa = backend.isa(circuit)
    strings = [[SparsePauliOp("IZ").apply_layout(isa.layout)], [SparsePauliOp("ZI").apply_layout(isa.layout)]]
    pub = EstimatorPub.coerce((isa, strings, [[0.0], [3.14159265]], 0.05))
    sent = jobs.submit_pubs([[pub]], backend, ledger, **patience)
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
    with Ledger(home) as other:
        values = jobs.results(other, sent.id)[0][0].data.evs
    assert values == pytest.approx(np.array([[1, -1], [1, 1]]), abs=0.3)
    [job] = server.state.jobs.values()
    asked = (
        job.params
        if generation == "v2"
        else job.params["quantum_program"]["passthrough_data"]["post_processor"]["options"]
    )
    assert asked["resilience_level"] == level


def test_empty_submissions_are_refused(local_backend, ledger):
    for nothing in ([], [[]]):
        with pytest.raises(JobError, match="nothing to submit"):
            jobs.submit_pubs(nothing, local_backend(), ledger)
