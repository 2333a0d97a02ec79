"""Processes are killed (SIGKILL) around every change of the ledger and every request; another one finishes the work.

The processes are forks of this one, which have everything imported already; the service runs in this process and
outlives them. Counted by the service: no job lost, none accepted twice.
"""

import functools
import os
import signal
import sqlite3

import pytest
from loopback import Fault

from qlam_qiskit import jobs
from qlam_qiskit.jobs import JobState, Ledger
from qlam_qiskit.jobs.job_state import MOVES


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


class _WatchedConnection(sqlite3.Connection):
    """Calls ``around(source, target, when)`` before and after the commit of every change of a job's state."""

    around = staticmethod(lambda source, target, when: None)
    pending = None

    def execute(self, statement, *values):
        if statement.startswith("INSERT INTO events"):
            _, _, source, target, _ = values[0]
            self.pending = (source, target) if source != target else None
        if statement != "COMMIT" or self.pending is None:
            return super().execute(statement, *values)
        change, self.pending = self.pending, None
        type(self).around(*change, "before")
        result = super().execute(statement, *values)
        type(self).around(*change, "after")
        return result


@pytest.fixture
def pubs(open_service, tiny_pub):
    """Transpiled in advance, because the transpiler's threads do not survive a fork."""
    return [tiny_pub(open_service())]


@pytest.fixture
def in_child(server, home, patience, open_service, pubs):
    """Give a function that runs a scenario in a fork and returns the signal that ended it, or None."""

    def run(scenario, around=None):
        process = os.fork()
        if process == 0:
            status = 1
            try:
                if around is not None:
                    _WatchedConnection.around = staticmethod(around)
                    sqlite3.connect = functools.partial(sqlite3.connect, factory=_WatchedConnection)
                with Ledger(home, now=patience["clock"].now) as ledger:
                    scenario(ledger, open_service, pubs, server.state, patience)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None

    return run


def _submit(ledger, open_service, pubs, state, patience):
    try:
        return jobs.submit_pubs([pubs], open_service(), ledger, **patience).id
    except jobs.JobError:
        return ledger.submissions()[-1].id


def _send_and_fetch(ledger, open_service, pubs, state, patience):
    _submit(ledger, open_service, pubs, state, patience)
    jobs.fetch(ledger, **patience)


def _sent_again(ledger, open_service, pubs, state, patience):
    """Send again what never arrived, as a person may decide."""
    identifier = _submit(ledger, open_service, pubs, state, patience)
    jobs.resume(ledger, identifier, send_again=True, **patience)


def _lost_result(ledger, open_service, pubs, state, patience):
    identifier = _submit(ledger, open_service, pubs, state, patience)
    jobs.fetch(ledger, **patience)
    (ledger.home / "submissions" / identifier / "job-000" / "result.npz").unlink()
    jobs.fetch(ledger, identifier, **patience)


def _refused_then_resumed(ledger, open_service, pubs, state, patience):
    identifier = _submit(ledger, open_service, pubs, state, patience)
    jobs.resume(ledger, identifier, **patience)


def _failed_then_resumed(ledger, open_service, pubs, state, patience):
    identifier = _submit(ledger, open_service, pubs, state, patience)
    jobs.fetch(ledger, **patience)
    jobs.resume(ledger, identifier, failed=True, **patience)


def _cancelled(ledger, open_service, pubs, state, patience):
    identifier = _submit(ledger, open_service, pubs, state, patience)
    jobs.cancel(ledger, identifier, **patience)


def _seen_to_be_cancelled(ledger, open_service, pubs, state, patience):
    _submit(ledger, open_service, pubs, state, patience)
    jobs.fetch(ledger, **patience)


def _nothing(state):
    pass


def _never_arrives(state):
    state.faults.add(Fault("POST /jobs", "status", times=2, status=500))


def _answer_lost(state):
    state.faults.add(Fault("POST /jobs", "accept_reset"))


def _busy(state):
    state.faults.add(Fault("POST /jobs", "status", status=429))


def _retire(state):
    """Refuse before anything is sent."""
    state.faults.add(Fault("GET /instances/usage", "status", times=None, status=403))


def _refuse(state):
    state.faults.add(Fault("POST /jobs", "status", status=409))


def _refuse_and_accept(state):
    state.faults.add(Fault("POST /jobs", "accept_status", status=409))


def _fail(state):
    broken = {"state": {"status": "Failed", "reason": "an internal error"}}
    state.faults.add(Fault("GET /jobs/{id}", "merge", times=None, payload=broken))


def _expire(state):
    state.faults.add(Fault("GET /jobs/{id}/results", "status", status=404))


def _wait(state):
    state.polls = 50


def _spend(state):
    state.usage_consumed = state.usage_limit


def _damage(state):
    _end_before_cancel(state)
    state.faults.add(Fault("GET /jobs/{id}/results", "truncate", times=None))


def _end_before_cancel(state):
    """By the time that the cancellation arrives the job has completed."""

    def complete():
        for job in state.jobs.values():
            state.advance(job)

    state.faults.add(Fault("POST /jobs/{id}/cancel", "before", callback=complete))


def _cancel_at_the_service(state):
    state.faults.add(
        Fault("GET /jobs/{id}", "merge", times=None, payload={"state": {"status": "Cancelled"}}),
    )


SCENARIOS = {
    "sent and fetched": (_nothing, _send_and_fetch),
    "sent while it is busy": (_busy, _send_and_fetch),
    "fetched again": (_nothing, _lost_result),
    "never arrived, sent again": (_never_arrives, _sent_again),
    "never arrived, cancelled": (_never_arrives, _cancelled),
    "accepted without an answer": (_answer_lost, _send_and_fetch),
    "refused before it was sent": (_retire, _refused_then_resumed),
    "refused, then resumed": (_refuse, _refused_then_resumed),
    "refused and accepted": (_refuse_and_accept, _refused_then_resumed),
    "failed, then resumed": (_fail, _failed_then_resumed),
    "expired, then resumed": (_expire, _failed_then_resumed),
    "cancelled while it waits": (_wait, _cancelled),
    "cancelled before it was sent": (_spend, _cancelled),
    "cancelled after it ended": (_end_before_cancel, _cancelled),
    "cancelled after it ended, and damaged": (_damage, _cancelled),
    "cancelled at the service": (_cancel_at_the_service, _seen_to_be_cancelled),
}


def _finish(ledger, state, patience):
    """Do what a user does after a crash: resume until nothing is open; what the service does not list is sent again."""
    state.faults.clear()
    state.polls = state.usage_consumed = 0
    for job in state.jobs.values():
        job.polls_left = 0
    for _ in range(4):
        for submission in jobs.show(ledger):
            if any(job.state is JobState.REFUSED for job in submission.jobs):
                jobs.resume(ledger, submission.id, **patience)
            elif any(job.state is JobState.UNKNOWN for job in submission.jobs):
                jobs.resume(ledger, submission.id, **patience)
                jobs.resume(ledger, submission.id, send_again=True, **patience)
            elif submission.complete:
                jobs.fetch(ledger, submission.id, **patience)  # harmless, and gets a file back that was removed
        jobs.resume(ledger, **patience)
        if not any(submission.open for submission in jobs.show(ledger)):
            return
    raise AssertionError("still open after four times")


def _assert_nothing_lost_or_doubled(ledger, state):
    """Every job that is saved was accepted exactly once under its tag, and the service runs nothing else of ours."""
    by_tag = {}
    for identifier in state.accepted:
        by_tag.setdefault(frozenset(state.jobs[identifier].tags), []).append(state.jobs[identifier])
    assert all(len(accepted) == 1 for accepted in by_tag.values())
    for submission in jobs.show(ledger):
        assert not submission.open
        for job in submission.jobs:
            assert job.state in (JobState.SAVED, JobState.CANCELLED, JobState.FAILED)
            if job.state is JobState.SAVED:
                assert state.jobs[job.remote_id].status == "Completed"
                assert jobs.results(ledger, submission.id)[0][0].data.meas.get_counts(1) == {"01": 64}
    assert [job for job in state.jobs.values() if job.status in ("Queued", "Running")] == []


# In which scenario each change of the ledger is made.
CHANGES = {
    (None, "planned"): "sent and fetched",
    ("planned", "sending"): "sent and fetched",
    ("sending", "sent"): "sent and fetched",
    ("sent", "finished"): "sent and fetched",
    ("finished", "saved"): "sent and fetched",
    ("sending", "planned"): "sent while it is busy",
    ("saved", "finished"): "fetched again",
    ("sending", "unknown"): "accepted without an answer",
    ("unknown", "sent"): "accepted without an answer",
    ("unknown", "sending"): "never arrived, sent again",
    ("unknown", "cancelled"): "never arrived, cancelled",
    ("planned", "refused"): "refused before it was sent",
    ("sending", "refused"): "refused, then resumed",
    ("refused", "planned"): "refused, then resumed",
    ("refused", "sent"): "refused and accepted",
    ("sent", "failed"): "failed, then resumed",
    ("failed", "planned"): "failed, then resumed",
    ("failed", "sent"): "expired, then resumed",
    ("finished", "failed"): "expired, then resumed",
    ("sent", "cancelling"): "cancelled while it waits",
    ("cancelling", "cancelled"): "cancelled while it waits",
    ("planned", "cancelled"): "cancelled before it was sent",
    ("cancelling", "sent"): "cancelled after it ended",
    ("finished", "cancelled"): "cancelled after it ended, and damaged",
    ("sent", "cancelled"): "cancelled at the service",
}


def test_every_change_that_the_ledger_allows_is_among_them():
    possible = {(source, target) for source, targets in MOVES.items() for target in targets}
    assert set(CHANGES) == possible | {(None, "planned")}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]}-{change[1]}")
def test_killed_around_every_change_of_the_ledger(change, when, in_child, server, home, patience):
    prepare, scenario = SCENARIOS[CHANGES[change]]
    prepare(server.state)

    def around(source, target, side):
        if (source, target) == change and side == when:
            _die()

    assert in_child(scenario, around) == signal.SIGKILL
    with Ledger(home, now=patience["clock"].now) as ledger:
        _finish(ledger, server.state, patience)
        _assert_nothing_lost_or_doubled(ledger, server.state)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_every_request(when, in_child, server, home, patience, tmp_path):
    """The kill comes from the service: while it has the request, or when it has carried it out and not answered."""
    read, write = os.pipe()

    def scenario(ledger, open_service, pubs, state, patience):
        os.write(write, f"{os.getpid()}\n".encode())  # so that the service knows whom to kill
        _send_and_fetch(ledger, lambda: open_service(mode="batch"), pubs, state, patience)

    def kill():
        os.kill(int(os.read(read, 20)), signal.SIGKILL)

    number = 0
    while True:
        server.state.forget()
        server.state.faults.add(Fault("*", when, skip=number, callback=kill))
        ended = in_child(scenario)
        with Ledger(home, now=patience["clock"].now) as ledger:
            _finish(ledger, server.state, patience)
            _assert_nothing_lost_or_doubled(ledger, server.state)
        home.rename(tmp_path / f"done-{number}")
        if ended is None:
            break
        number += 1
    os.close(read)
    os.close(write)
    assert number >= 15
