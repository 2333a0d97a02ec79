"""Every known fault of the service has a defined outcome: nothing lost, nothing sent twice, and a line that helps."""

import pytest
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.jobs import JobError, JobState


@pytest.fixture
def submission(open_service, tiny_pub, ledger, patience):
    """Give a function that submits ``count`` tiny jobs."""

    def make(count=1, **settings):
        backend = open_service(**settings)
        return jobs.submit_pubs([[tiny_pub(backend)] for _ in range(count)], backend, ledger, **patience)

    return make


def _states(ledger, found):
    return [job.state for job in ledger.jobs(found.id)]


def _accepted(server):
    return [len(same) for same in server.state.live_jobs().values()]


def _only_submission(ledger):
    [record] = ledger.submissions()
    return record


def _assert_right(ledger, identifier):
    for result in jobs.results(ledger, identifier):
        bits = result[0].data.meas
        assert bits.get_counts(0) == {"00": 64} and bits.get_counts(1) == {"01": 64}


@pytest.mark.parametrize("generation", ["v2", "executor"])
@pytest.mark.parametrize("mode", ["job", "batch", "session"])
def test_both_generations_and_all_modes_bring_results_home(submission, ledger, server, patience, generation, mode):
    sent = submission(2, generation=generation, mode=mode)
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert fetched.complete and fetched.problems == ()
    _assert_right(ledger, sent.id)
    assert [job.qpu_seconds for job in fetched.jobs] == [2.0, 2.0]
    assert [session["accepting_jobs"] for session in server.state.sessions.values()] == [False] * (mode != "job")
    assert {job.session for job in server.state.jobs.values()} == (set(server.state.sessions) or {None})


POST_FAULTS = {
    "504 after it was accepted": [Fault("POST /jobs", "accept_status", status=504)],
    "reset after it was accepted": [Fault("POST /jobs", "accept_reset")],
    "HTML after it was accepted": [Fault("POST /jobs", "html")],
    "an empty answer": [Fault("POST /jobs", "empty")],
    "answer cut short": [Fault("POST /jobs", "truncate")],
    "429 twice": [Fault("POST /jobs", "status", times=2, status=429)],
    "401 once": [Fault("POST /jobs", "status", status=401)],
    "usage 500 x9": [Fault("GET /instances/usage", "status", times=9)],
    "device status 500 x9": [Fault("GET /backends/{name}/status", "status", times=9)],
    "list fails while looking for the tag": [
        Fault("POST /jobs", "accept_reset"),
        Fault("GET /jobs", "status", times=9),
        Fault("GET /jobs", "html", times=1),
    ],
}


@pytest.mark.parametrize("name", POST_FAULTS)
def test_faults_while_sending_are_survived_with_one_job(submission, ledger, server, patience, name):
    for fault in POST_FAULTS[name]:
        server.state.faults.add(fault)
    sent = submission()
    assert _states(ledger, sent) == [JobState.SENT]
    assert len(server.state.accepted) == 1
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert fetched.complete
    _assert_right(ledger, sent.id)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (413, "too large for the service; submit again with a lower limits.payload_mb"),
        (400, "does not accept the job as it is"),
        (409, "reports a conflict"),
        (403, "may not use the instance or device"),
    ],
)
def test_a_refusal_says_why_and_a_named_resume_sends_again(submission, ledger, server, patience, code, advice):
    server.state.faults.add(Fault("POST /jobs", "status", status=code))
    with pytest.raises(JobError, match=advice) as raised:
        submission()
    record = _only_submission(ledger)
    assert record.id in str(raised.value)
    assert [job.state for job in ledger.jobs(record.id)] == [JobState.REFUSED]
    assert jobs.resume(ledger, **patience) == []  # nothing is open, so nothing is tried unasked
    [resumed] = jobs.resume(ledger, record.id, **patience)
    assert resumed.complete and len(server.state.accepted) == 1


def test_too_many_pending_jobs_waits_for_the_user(submission, ledger, server, patience, skipping_time):
    refusal = {"errors": [{"code": 3458, "message": "You reached the limit of 3 concurrent jobs"}]}
    server.state.faults.add(Fault("POST /jobs", "status", status=400, payload=refusal))
    with pytest.raises(JobError, match=r"3458.*resume"):
        submission()
    record = _only_submission(ledger)
    assert [job.state for job in ledger.jobs(record.id)] == [JobState.PLANNED]
    assert jobs.resume(ledger, **patience)[0].complete


def test_credentials_that_stay_refused_end_the_work_at_once(submission, ledger, server, patience):
    sent = submission()
    server.state.faults.add(Fault("GET /jobs", "status", times=None, status=401))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "did not accept the credentials (401); renew QISKIT_IBM_TOKEN" in fetched.problems[0]
    assert server.state.requests["GET /jobs"] == 2
    server.state.faults.clear()
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete


def test_an_expired_access_token_is_replaced(submission, ledger, server, patience):
    backend_token_count = server.state.requests["POST /identity/token"]
    sent = submission()
    server.state.tokens.clear()  # the service forgets every token it gave out
    connection_keeps_its_token = jobs.wait(ledger, sent.id, **patience)
    assert connection_keeps_its_token.complete
    assert server.state.requests["POST /identity/token"] > backend_token_count


def test_a_token_that_expires_while_waiting_is_replaced(submission, ledger, server, patience):
    server.state.polls = 3
    sent = submission()

    def forget_tokens(state):
        if server.state.requests["GET /jobs/{id}"] < 3:
            server.state.tokens.clear()

    finished = jobs.wait(ledger, sent.id, progress=forget_tokens, **patience)
    assert finished.complete and server.state.requests["POST /identity/token"] >= 3


def test_a_dead_identity_service_is_not_blamed_on_the_key(submission, ledger, server, patience):
    sent = submission()
    server.state.faults.add(Fault("POST /identity/token", "status", times=None, status=503))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "identity service cannot be reached; try again later" in fetched.problems[0]
    server.state.faults.clear()
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete


def test_a_revoked_key_is_named_as_such(submission, ledger, server, patience):
    sent = submission()
    server.state.api_key = "another-key"
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "refused the API key; renew QISKIT_IBM_TOKEN" in fetched.problems[0]


def test_a_failing_login_names_both_causes(submission, ledger, server, patience, monkeypatch):
    """Without the experimental address the client looks its instances up, and blames the token for an outage."""
    sent = submission()
    monkeypatch.delenv("QISKIT_FUNCTIONS_EXPERIMENTAL")
    monkeypatch.setenv("GLOBAL_SEARCH_URL", server.url)
    server.state.faults.add(Fault("POST /identity/token", "status", times=None, status=503))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "if the token is right, IBM Cloud's identity service may be down" in fetched.problems[0]


def test_a_spent_allowance_sends_nothing(submission, ledger, server, patience):
    server.state.usage_consumed = server.state.usage_limit
    with pytest.raises(JobError, match=r"allowance is spent \(600 of 600 s\); nothing was sent: .*resume"):
        submission()
    assert server.state.accepted == []
    assert [job.state for job in ledger.jobs(_only_submission(ledger).id)] == [JobState.PLANNED]
    server.state.usage_consumed = 0
    assert jobs.resume(ledger, **patience)[0].complete


POLL_FAULTS = {
    "500 x3": [Fault("GET /jobs/{id}", "status", times=3)],
    "reset x2": [Fault("GET /jobs/{id}", "reset", times=2)],
    "500 x9": [Fault("GET /jobs/{id}", "status", times=9)],
    "HTML": [Fault("GET /jobs/{id}", "html")],
    "503 x9": [Fault("GET /jobs/{id}", "status", times=9, status=503)],
    "result 500 x9": [Fault("GET /jobs/{id}/results", "status", times=9)],
    "result cut short": [Fault("GET /jobs/{id}/results", "truncate")],
    "result as HTML": [Fault("GET /jobs/{id}/results", "html")],
    "result reset": [Fault("GET /jobs/{id}/results", "reset", times=2)],
    "metrics 500 for ever": [Fault("GET /jobs/{id}/metrics", "status", times=None)],
}


@pytest.mark.parametrize("generation", ["v2", "executor"])
@pytest.mark.parametrize("name", POLL_FAULTS)
def test_faults_while_fetching_are_survived(submission, ledger, server, patience, name, generation):
    sent = submission(generation=generation)
    for fault in POLL_FAULTS[name]:
        server.state.faults.add(Fault(**vars(fault)))
    finished = jobs.wait(ledger, sent.id, **patience)
    assert finished.complete and len(server.state.accepted) == 1
    _assert_right(ledger, sent.id)


@pytest.mark.parametrize("generation", ["v2", "executor"])
def test_a_result_that_stays_damaged_is_kept_for_later(submission, ledger, server, patience, generation):
    sent = submission(generation=generation)
    server.state.faults.add(Fault("GET /jobs/{id}/results", "truncate", times=None))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert f"the service still has it: run `qlam jobs fetch {sent.id}` later" in fetched.problems[0]
    assert _states(ledger, sent) == [JobState.FINISHED]
    server.state.faults.clear()
    assert jobs.fetch(ledger, **patience)[0].complete
    _assert_right(ledger, sent.id)


def test_a_server_that_is_down_leaves_the_job_alive(submission, ledger, server, patience):
    sent = submission()
    server.state.faults.add(Fault("GET /jobs/{id}", "status", times=None, status=502))
    with pytest.raises(JobError, match="cannot be reached or fails"):
        jobs.wait(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.SENT]
    server.state.faults.clear()
    assert jobs.fetch(ledger, **patience)[0].complete


def test_a_poll_that_never_answers_has_a_deadline(submission, ledger, server, skipping_time):
    policy = jobs.Policy(request_seconds=0.2, attempts=2)
    clock = jobs.Clock(skipping_time.now, skipping_time.sleep)
    sent = submission()
    server.state.faults.add(Fault("GET /jobs", "slow", times=2, seconds=1.0))
    [fetched] = jobs.fetch(ledger, sent.id, policy=policy, clock=clock)
    assert "no answer in time" in fetched.problems[0]
    assert jobs.fetch(ledger, sent.id, clock=clock)[0].complete


@pytest.mark.parametrize(
    "state",
    [
        {"status": "Cancelled - Ran too long"},
        {"status": "Cancelled", "reason": "Job ran longer than the limit", "reason_code": 1305},
    ],
)
def test_a_job_that_ran_too_long_ends_as_failed(submission, ledger, server, patience, state):
    sent = submission()
    server.state.faults.add(Fault("GET /jobs/{id}", "merge", times=None, payload={"state": state}))
    finished = jobs.wait(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.FAILED]
    assert "ran longer than max_execution_time" in finished.problems[0]


def test_a_failed_job_is_sent_again_only_when_told_and_under_a_new_tag(submission, ledger, server, patience):
    sent = submission()
    broken = {"state": {"status": "Failed", "reason": "an internal error", "reason_code": 9999}}
    server.state.faults.add(Fault("GET /jobs/{id}", "merge", times=None, payload=broken))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert "an internal error" in fetched.problems[0] and _states(ledger, sent) == [JobState.FAILED]
    server.state.faults.clear()
    assert jobs.resume(ledger, sent.id, **patience)[0].jobs[0].state is JobState.FAILED
    [again] = jobs.resume(ledger, sent.id, failed=True, **patience)
    assert again.complete and len(server.state.accepted) == 2
    assert len(server.state.live_jobs()) == 2  # two tags, one job each
    _assert_right(ledger, sent.id)


def test_a_result_that_expired_is_a_failure_with_a_remedy(submission, ledger, server, patience):
    sent = submission()
    server.state.faults.add(Fault("GET /jobs/{id}/results", "status", times=None, status=404))
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.FAILED]
    assert "its result is no longer kept" in fetched.problems[0]
    assert "`qlam jobs resume --failed` sends it again" in fetched.problems[0]


def test_a_job_that_the_service_forgot_fails_but_not_at_once(submission, ledger, server, patience, skipping_time):
    sent = submission()
    server.state.faults.add(Fault("GET /jobs/{id}", "status", times=None, status=404))
    jobs.fetch(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.SENT]
    skipping_time.sleep(600)
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.FAILED]
    assert "no longer knows it" in fetched.problems[0]


def test_a_cancellation_at_the_service_is_noticed(submission, ledger, server, patience):
    sent = submission()
    server.state.jobs[sent.jobs[0].remote_id].status = "Cancelled"
    jobs.fetch(ledger, sent.id, **patience)
    assert _states(ledger, sent) == [JobState.CANCELLED]


def test_results_survive_the_retirement_of_their_device(submission, ledger, server, patience):
    sent = submission()
    server.state.devices = ()
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
    _assert_right(ledger, sent.id)


def test_sending_to_a_retired_device_is_refused(submission, ledger, server, patience):
    server.state.usage_consumed = server.state.usage_limit
    with pytest.raises(JobError):
        submission()
    server.state.usage_consumed, server.state.devices = 0, ()
    [resumed] = jobs.resume(ledger, **patience)
    assert "ibm_manila is not offered to this instance any more; submit again" in resumed.problems[0]
    assert server.state.accepted == []


def test_an_outage_of_discovery_is_not_taken_for_a_retired_device(submission, ledger, server, patience):
    server.state.usage_consumed = server.state.usage_limit
    with pytest.raises(JobError):
        submission()
    server.state.usage_consumed = 0
    for route in ("GET /backends", "GET /instances/usage"):
        server.state.faults.add(Fault(route, "status", times=None))
    [resumed] = jobs.resume(ledger, **patience)
    assert "cannot be reached or fails" in resumed.problems[0]
    assert [job.state for job in resumed.jobs] == [JobState.PLANNED]
    server.state.faults.clear()
    assert jobs.resume(ledger, **patience)[0].complete


def test_a_session_that_was_closed_is_replaced(submission, ledger, server, patience):
    server.state.faults.add(Fault("POST /jobs", "status", skip=1, times=None, status=429))
    with pytest.raises(JobError):
        submission(2, mode="batch")
    server.state.faults.clear()
    for session in server.state.sessions.values():
        session |= {"accepting_jobs": False, "state": "closed"}
    assert jobs.resume(ledger, **patience)[0].complete
    assert len(server.state.sessions) == 2 and len(server.state.accepted) == 2


def test_a_job_accepted_late_is_found_before_it_is_sent_again(open_service, tiny_pub, ledger, server):
    backend = open_service()
    server.state.faults.add(Fault("POST /jobs", "late_accept", seconds=0.3))
    policy = jobs.Policy(lookup_seconds=1.5, first_pause=0.01)
    sent = jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, policy=policy)
    assert sent.jobs[0].state is JobState.SENT and len(server.state.accepted) == 1


def test_a_duplicate_is_cancelled_whenever_it_turns_up(submission, ledger, server, patience):
    server.state.polls = 2
    sent = submission()
    original = server.state.jobs[sent.jobs[0].remote_id]
    body = {"program_id": original.program, "backend": original.device, "params": original.params}
    duplicate = server.state.accept({**body, "tags": original.tags})
    finished = jobs.wait(ledger, sent.id, **patience)
    assert finished.complete and finished.jobs[0].remote_id == original.id
    assert duplicate.status == "Cancelled" and _accepted(server) == [1]


def test_only_isa_circuits_are_sent(open_service, ledger, server, patience):
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    backend = open_service(generation="executor")
    with pytest.raises(JobError, match=r"h on qubits \(0,\) is not an instruction of ibm_manila"):
        jobs.submit_pubs([[SamplerPub.coerce((circuit, None, 10))]], backend, ledger, **patience)
    assert server.state.accepted == []


def test_many_jobs_are_all_found_through_the_pages_of_the_list(submission, ledger, server, patience):
    """The service lists 20 jobs a page; the last of 25 must be found too."""
    server.state.faults.add(Fault("POST /jobs", "accept_reset", skip=24))
    sent = submission(25)
    assert len(server.state.accepted) == 25
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
