"""Trouble with one job, or with the list of them, keeps no other job's result away, and nothing that exists is lost."""

import pytest
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.jobs import JobError, JobState

# What strikes, and how often until the job is given up.
OF_ONE_JOB = [
    ("status", {"status": 400}, 1),
    ("status", {"status": 410}, 1),
    ("empty", {}, 6),
    ("merge", {"payload": {"id": "another"}}, 6),
    ("merge", {"payload": {"state": 5}}, 7),
]


@pytest.fixture
def submit(open_service, tiny_pub, ledger, patience):
    """Give a function that submits three tiny jobs."""

    def make(**settings):
        backend = open_service(**settings)
        return jobs.submit_pubs([[tiny_pub(backend)] for _ in range(3)], backend, ledger, **patience)

    return make


def _states(submission):
    return [job.state for job in submission.jobs]


@pytest.mark.parametrize(("action", "settings", "times"), OF_ONE_JOB)
def test_the_other_jobs_are_fetched_and_the_one_is_named(submit, ledger, server, patience, action, settings, times):
    sent = submit()
    server.state.faults.add(Fault("GET /jobs/{id}", action, times=times, **settings))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert _states(fetched) == [JobState.SENT, JobState.SAVED, JobState.SAVED]
    [problem] = fetched.problems
    assert problem.startswith(f"job {sent.id}/0: ") and "\n" not in problem
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete


def test_an_outage_that_strikes_one_job_ends_nothing_and_one_that_lasts_is_not_waited_for_with_each(
    submit, ledger, server, patience
):
    sent = submit()
    each = patience["policy"].attempts * 6  # the client tries each request so often
    server.state.faults.add(Fault("GET /jobs/{id}", "status", times=each, status=500))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert _states(fetched) == [JobState.SENT, JobState.SAVED, JobState.SAVED]
    more = submit()
    server.state.requests.clear()
    server.state.faults.add(Fault("GET /jobs/{id}", "status", times=None, status=500))
    [fetched] = jobs.fetch(ledger, more.id, **patience)
    assert _states(fetched) == [JobState.SENT] * 3 and len(fetched.problems) == 1 + 1
    assert server.state.requests["GET /jobs/{id}"] == 2 * each


def test_results_come_home_while_the_list_cannot_be_had(submit, ledger, server, patience):
    sent = submit()
    server.state.faults.add(Fault("GET /jobs", "status", times=None, status=500))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert fetched.complete and len(fetched.problems) == 1


@pytest.mark.parametrize(("repeat", "miscount"), [(True, 0), (False, 5), (True, -3)])
def test_a_list_that_is_miscounted_ends(open_service, tiny_pub, ledger, server, patience, repeat, miscount):
    server.state.repeat_list, server.state.miscount = repeat, miscount
    server.state.faults.add(Fault("POST /jobs", "accept_reset", times=None))
    backend = open_service()
    sent = jobs.submit_pubs([[tiny_pub(backend)] for _ in range(5)], backend, ledger, **patience)
    assert _states(sent) == [JobState.SENT] * 5
    assert server.state.requests["GET /jobs"] < 100
    assert jobs.fetch(ledger, sent.id, **patience)[0].duplicates == ()


@pytest.mark.parametrize("status", [400, 404])
def test_a_cancellation_that_is_refused_loses_no_result(submit, ledger, server, patience, status):
    sent = submit()
    server.state.faults.add(Fault("POST /jobs/{id}/cancel", "status", times=None, status=status))
    for job in list(server.state.jobs.values())[:2]:
        server.state.advance(job)
    waiting = server.state.jobs[sent.jobs[2].remote_id]
    waiting.polls_left = 1000
    cancelled = jobs.cancel(ledger, sent.id, **patience)
    assert _states(cancelled) == [JobState.SAVED, JobState.SAVED, JobState.CANCELLING]
    assert len(cancelled.problems) == 1 and f"job {sent.id}/2: " in cancelled.problems[0]
    waiting.polls_left = 0
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete


def test_a_job_that_the_service_forgot_is_cancelled_in_the_end(submit, ledger, server, patience, skipping_time):
    sent = submit()
    forgotten = server.state.jobs.pop(sent.jobs[0].remote_id)
    server.state.accepted.remove(forgotten.id)
    assert _states(jobs.cancel(ledger, sent.id, **patience))[0] is JobState.CANCELLING
    skipping_time.sleep(600)
    assert jobs.cancel(ledger, sent.id, **patience).jobs[0].state is JobState.CANCELLED


def test_cancelling_in_an_outage_gives_no_result_up(submit, ledger, server, patience):
    sent = submit()
    for job in server.state.jobs.values():
        server.state.advance(job)
    server.state.faults.add(Fault("GET /jobs/{id}/results", "status", times=None, status=500))
    cancelled = jobs.cancel(ledger, sent.id, **patience)
    assert _states(cancelled) == [JobState.FINISHED] * 3 and "has no result yet" in cancelled.problems[0]
    server.state.faults.clear()
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete


@pytest.mark.parametrize("status", [400, 409])
def test_a_job_that_was_refused_and_accepted_all_the_same_is_used(
    open_service, tiny_pub, ledger, server, patience, status
):
    server.state.faults.add(Fault("POST /jobs", "accept_status", status=status))
    backend = open_service()
    with pytest.raises(JobError, match="was not sent"):
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    [found] = jobs.resume(ledger, jobs.show(ledger)[0].id, **patience)
    assert found.complete and len(server.state.accepted) == 1


def test_a_refused_job_waits_while_the_list_cannot_be_had(open_service, tiny_pub, ledger, server, patience):
    server.state.faults.add(Fault("POST /jobs", "status", status=413))
    backend = open_service()
    with pytest.raises(JobError, match="was not sent"):
        jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, **patience)
    identifier = jobs.show(ledger)[0].id
    server.state.faults.add(Fault("GET /jobs", "status", times=None, status=500))
    [found] = jobs.resume(ledger, identifier, **patience)
    assert _states(found) == [JobState.REFUSED] and server.state.accepted == []
    server.state.faults.clear()
    assert jobs.resume(ledger, identifier, **patience)[0].complete and len(server.state.accepted) == 1


def test_a_result_that_was_missing_and_is_there_again_is_not_paid_for_twice(submit, ledger, server, patience):
    sent = submit()
    server.state.faults.add(Fault("GET /jobs/{id}/results", "status", times=3, status=404))
    assert _states(jobs.fetch(ledger, sent.id, **patience)[0]) == [JobState.FAILED] * 3
    [found] = jobs.resume(ledger, sent.id, failed=True, **patience)
    assert found.complete and found.duplicates == () and len(server.state.accepted) == 3
