"""Jobs that were sent and whose answer was lost: looked for, and never sent again without a person's word."""

import pytest
from click.testing import CliRunner
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.cli.jobs import jobs as command_line
from qlam_qiskit.jobs import Clock, JobError, JobState, Policy

LOST = [("status", {"status": 500}), ("status", {"status": 503}), ("status", {"status": 408}), ("reset", {})]
ACCEPTED = [
    ("accept_status", {"status": 504}, 590),
    ("accept_reset", {}, 0),
    ("html", {}, 30),
    ("empty", {}, 300),
    ("merge", {"payload": {"id": None}}, 60),
]


@pytest.fixture
def submit(open_service, tiny_pub, ledger, patience):
    """Give a function that submits ``count`` tiny jobs and returns the submission and what was raised, if anything."""

    def make(count=1, **settings):
        backend = open_service(**settings)
        try:
            jobs.submit_pubs([[tiny_pub(backend)] for _ in range(count)], backend, ledger, **patience)
        except JobError as error:
            return jobs.show(ledger)[-1], str(error)
        return jobs.show(ledger)[-1], None

    return make


@pytest.fixture
def lagging(server, skipping_time):
    """Give a function that lets the service's list lag by seconds of the clock that the client skips on."""

    def lag(seconds):
        server.state.now, server.state.list_lag = skipping_time.now, seconds

    return lag


def _states(submission):
    return [job.state for job in submission.jobs]


@pytest.mark.parametrize(("action", "settings"), LOST)
def test_what_never_arrived_is_named_and_sent_again_only_on_a_persons_word(
    submit, ledger, server, patience, action, settings
):
    server.state.faults.add(Fault("POST /jobs", action, **settings))
    found, said = submit()
    assert _states(found) == [JobState.UNKNOWN] and server.state.requests["POST /jobs"] == 1
    assert f"it is unknown whether job {found.id}/0 was accepted" in said and "\n" not in said
    assert (
        f"`qlam jobs resume {found.id} --send-again` sends it again, which may cost about 2 s of QPU time twice" in said
    )
    for command in (jobs.fetch, jobs.resume):
        for identifier in (None, found.id):
            [later] = command(ledger, identifier, **patience)
            assert _states(later) == [JobState.UNKNOWN] and "it is unknown whether" in later.problems[0]
    with pytest.raises(JobError, match="it is unknown whether"):
        jobs.wait(ledger, found.id, **patience)
    assert server.state.accepted == [] and server.state.requests["POST /jobs"] == 1
    [again] = jobs.resume(ledger, found.id, send_again=True, **patience)
    assert again.complete and again.problems == () and again.duplicates == () and len(server.state.accepted) == 1


@pytest.mark.parametrize(("action", "settings", "lag"), ACCEPTED)
def test_an_accepted_job_is_found_while_the_command_waits_however_late_it_is_listed(
    submit, ledger, server, patience, lagging, skipping_time, action, settings, lag
):
    lagging(lag)
    server.state.faults.add(Fault("POST /jobs", action, **settings))
    sent, said = submit()
    assert said is None and _states(sent) == [JobState.SENT]
    pauses = [pause for pause in skipping_time.pauses if pause > 1]
    assert pauses[:-1] == sorted(pauses[:-1])  # looks less and less often
    assert jobs.wait(ledger, sent.id, **patience).complete and len(server.state.accepted) == 1


def test_later_commands_go_on_looking_and_find_it(submit, ledger, server, patience, lagging, skipping_time):
    lagging(5000)
    server.state.faults.add(Fault("POST /jobs", "accept_reset"))
    sent, said = submit()
    assert "it is unknown" in said and _states(sent) == [JobState.UNKNOWN]
    waited = sum(skipping_time.pauses)
    assert waited == pytest.approx(600, abs=5)
    for command in (jobs.fetch, jobs.resume):
        assert _states(command(ledger, sent.id, **patience)[0]) == [JobState.UNKNOWN]
    assert sum(skipping_time.pauses) == waited  # the bound is over: they look once
    skipping_time.sleep(5000)
    [fetched] = jobs.fetch(ledger, **patience)
    assert fetched.complete and len(server.state.accepted) == 1


def test_the_entry_sets_how_long_a_command_looks(open_service, tiny_pub, ledger, server, lagging, skipping_time):
    lagging(100)
    server.state.faults.add(Fault("POST /jobs", "accept_reset", times=None))
    clock = Clock(skipping_time.now, skipping_time.sleep)
    for seconds, state in ((50, JobState.UNKNOWN), (150, JobState.SENT)):
        backend, before = open_service(lookup_seconds=seconds), sum(skipping_time.pauses)
        try:
            jobs.submit_pubs([[tiny_pub(backend)]], backend, ledger, clock=clock)
        except JobError:
            assert state is JobState.UNKNOWN
        assert [job.state for job in jobs.show(ledger)[-1].jobs] == [state]
        assert sum(skipping_time.pauses) - before <= seconds + 1


def test_the_other_jobs_of_the_submission_go_on(submit, ledger, server, patience):
    server.state.faults.add(Fault("POST /jobs", "reset", skip=1))
    found, said = submit(3)
    assert "/1 was accepted" in said
    assert _states(found) == [JobState.SENT, JobState.UNKNOWN, JobState.SENT]
    with pytest.raises(JobError, match=r"it is unknown whether job .*/1 was accepted"):
        jobs.wait(ledger, found.id, **patience)
    assert _states(jobs.show(ledger)[0]) == [JobState.SAVED, JobState.UNKNOWN, JobState.SAVED]


def test_a_list_that_cannot_be_had_is_asked_again_until_the_bound(submit, ledger, server, patience):
    server.state.faults.add(Fault("POST /jobs", "accept_reset"))
    server.state.faults.add(Fault("GET /jobs", "status", times=14, status=502))
    sent, said = submit()
    assert said is None and _states(sent) == [JobState.SENT]


def test_entries_that_the_list_repeats_are_one_job(submit, ledger, server, patience):
    server.state.repeat_list = True
    server.state.faults.add(Fault("POST /jobs", "accept_reset", times=None))
    _, said = submit(3)
    assert said is None
    [fetched] = jobs.fetch(ledger, **patience)
    assert fetched.complete and fetched.duplicates == ()
    assert [job.status for job in server.state.jobs.values()] == ["Completed"] * 3


def test_a_person_who_sends_again_too_early_sees_what_both_cost(
    submit, ledger, server, patience, lagging, skipping_time, monkeypatch
):
    """The first turns up after the second has run: both are on record, one is used, and the other's cost is shown."""
    lagging(3000)
    server.state.faults.add(Fault("POST /jobs", "accept_reset"))
    sent, _ = submit()
    said = []
    [again] = jobs.resume(ledger, sent.id, send_again=True, report=said.append, **patience)
    assert again.complete and "if it was accepted before, it costs about 2 s of QPU time twice" in "".join(said)
    first, second = server.state.accepted
    server.state.advance(server.state.jobs[first])  # it ran as well
    skipping_time.sleep(3000)
    [fetched] = jobs.fetch(ledger, **patience)  # for a day also where everything is saved
    assert fetched.complete and fetched.jobs[0].remote_id == second
    [duplicate] = fetched.duplicates
    assert (duplicate.remote_id, duplicate.state, duplicate.qpu_seconds) == (first, "done", 2.0)
    shown = fetched.to_json()
    assert (shown["qpu_seconds"], shown["duplicate_qpu_seconds"]) == (2.0, 2.0)
    assert [entry["remote_id"] for entry in shown["duplicates"]] == [first]
    monkeypatch.setenv("QLAM_HOME", str(ledger.home))
    monkeypatch.setenv("COLUMNS", "140")
    for command in (["list"], ["show", sent.id], ["fetch", sent.id]):
        printed = CliRunner().invoke(command_line, command)
        assert printed.exit_code == 0 and "2 s + 2 s" in printed.output, (command, printed.output)
        assert f"{first}, done, 2 s of QPU time, not used" in printed.output


def test_a_double_by_the_clients_own_second_post_is_recorded_with_its_cost(
    submit, ledger, server, patience, lagging, skipping_time, monkeypatch
):
    """Without our adjustment the client posts again after a 504; both jobs run before either is listed."""
    monkeypatch.setattr("qlam_qiskit.jobs.connections.ibm.never_post_twice", lambda service: None)
    lagging(100)
    server.state.faults.add(Fault("POST /jobs", "accept_status", status=504))
    sent, said = submit()
    assert said is None and len(server.state.accepted) == 2
    first, _ = server.state.accepted
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
    server.state.advance(server.state.jobs[first])
    skipping_time.sleep(100)
    [fetched] = jobs.fetch(ledger, **patience)
    assert [(other.remote_id, other.qpu_seconds) for other in fetched.duplicates] == [(first, 2.0)]


def test_the_double_that_is_done_is_used_and_the_waiting_one_cancelled(
    submit, ledger, server, patience, lagging, skipping_time
):
    lagging(3000)
    server.state.polls = 1000
    server.state.faults.add(Fault("POST /jobs", "accept_reset"))
    sent, _ = submit()
    jobs.resume(ledger, sent.id, send_again=True, **patience)
    first, second = (server.state.jobs[identifier] for identifier in server.state.accepted)
    assert jobs.show(ledger)[0].jobs[0].remote_id == second.id
    first.polls_left = 0
    server.state.advance(first)
    skipping_time.sleep(3000)
    [fetched] = jobs.fetch(ledger, **patience)
    assert fetched.complete and fetched.jobs[0].remote_id == first.id and second.status == "Cancelled"
    [duplicate] = fetched.duplicates
    assert (duplicate.remote_id, duplicate.state, duplicate.qpu_seconds) == (second.id, "cancelled", 0.0)


def test_a_second_sending_that_is_refused_leaves_the_first_in_doubt(submit, ledger, server, patience):
    server.state.faults.add(Fault("POST /jobs", "reset"))
    sent, _ = submit()
    server.state.faults.add(Fault("POST /jobs", "status", status=413))
    [again] = jobs.resume(ledger, sent.id, send_again=True, **patience)
    assert _states(again) == [JobState.UNKNOWN]
    assert "too large" in again.problems[0] and "it is unknown whether" in again.problems[1]
    assert jobs.resume(ledger, sent.id, send_again=True, **patience)[0].complete


def test_cancelling_gives_up_what_never_turned_up_and_cancels_what_does(submit, ledger, server, patience, lagging):
    server.state.polls = 1000
    server.state.faults.add(Fault("POST /jobs", "reset"))
    never, _ = submit()
    assert _states(jobs.cancel(ledger, never.id, **patience)) == [JobState.CANCELLED]
    lagging(3000)
    server.state.faults.add(Fault("POST /jobs", "accept_reset"))
    late, _ = submit()
    lagging(0)
    assert _states(jobs.cancel(ledger, late.id, **patience)) == [JobState.CANCELLED]
    assert [job.status for job in server.state.jobs.values()] == ["Cancelled"]


def test_cancelling_too_early_to_know_says_so(submit, ledger, server, patience, skipping_time):
    server.state.faults.add(Fault("POST /jobs", "reset"))
    sent, _ = submit()
    patient = {**patience, "policy": Policy(posts_per_minute=1000, lookup_seconds=10_000)}
    cancelled = jobs.cancel(ledger, sent.id, **patient)
    assert _states(cancelled) == [JobState.UNKNOWN] and "it is unknown whether" in cancelled.problems[0]


def test_the_command_line_says_it_in_one_line_and_takes_one_flag(submit, server, home, monkeypatch):
    server.state.faults.add(Fault("POST /jobs", "reset"))
    sent, _ = submit(2, lookup_seconds=0)
    monkeypatch.setenv("QLAM_HOME", str(home))

    def command(*arguments):
        return CliRunner().invoke(command_line, arguments)

    for arguments in (("fetch",), ("resume",), ("resume", sent.id)):
        result = command(*arguments)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert result.exit_code == 1 and len(errors) == 1 and "it is unknown whether job" in errors[0]
    assert "1 saved" in command("list").stdout and "1 unknown" in command("list").stdout
    without = command("resume", "--send-again")
    assert without.exit_code == 2 and "--send-again needs an ID" in without.stderr
    result = command("resume", sent.id, "--send-again")
    assert result.exit_code == 0 and "costs about 2 s of QPU time twice" in result.stderr
    assert len(server.state.accepted) == 2
