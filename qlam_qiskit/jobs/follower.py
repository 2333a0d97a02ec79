"""Follows one job at the service: looks at it, brings its result home, cancels it, has it sent again.

Another process may have moved a job since it was looked at, so each step is given the job as the claim on it returned
it, and begins with its state.
"""

from __future__ import annotations

from collections.abc import Callable

from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.connections.base import RemoteJob, RemoteState
from qlam_qiskit.jobs.faults import Meaning, Trouble
from qlam_qiskit.jobs.finder import Finder
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.judge import Judge
from qlam_qiskit.jobs.records import JobRecord
from qlam_qiskit.jobs.requests import GivenUpError, Requests

# Troubles that say nothing of other jobs.
OF_ONE_JOB = (Meaning.REFUSED, Meaning.MISSING, Meaning.DAMAGED)
# Why a job failed of which the service said nothing: it may be there after all.
_ABSENCES = (_NOT_KNOWN, _NOT_KEPT) = ("the service no longer knows it", "its result is no longer kept")


class Follower:
    """The steps on one job that this process holds.

    ``patience`` tells for how many seconds more jobs of unknown fate may turn up; ``complain`` is told what could not
    be done.
    """

    def __init__(
        self,
        requests: Requests,
        finder: Finder,
        judge: Judge,
        patience: Callable[[], float],
        complain: Callable[[str], None],
    ) -> None:
        self._requests, self._finder, self._judge = requests, finder, judge
        self._ledger, self._connection = requests.ledger, requests.connection
        self._policy, self._clock, self._report = requests.policy, requests.clock, requests.report
        self._patience, self._complain = patience, complain
        self._out_of_reach: set[str] = set()  # finished jobs whose results an outage keeps from us

    def compare(self, job: JobRecord, listed: list[RemoteJob]) -> None:
        """Compare a job with the service's list: adopt it, or sort out its doubles."""
        if job.state in (JobState.UNKNOWN, JobState.REFUSED):
            self._finder.adopt(job, listed)
        elif job.state is not JobState.SENDING:
            self._finder.sort_out(job, listed)

    def settle(self, job: JobRecord) -> None:
        """Record what a process that died while it sent the job leaves us to know of it."""
        if job.state is not JobState.SENDING:
            return
        if self._connection.remembers:
            message = "the process that sent it ended before it had an answer"
            self._ledger.move(job, JobState.UNKNOWN, message=message, doubtful=job.updated)
        elif self.has_result(job):
            self._ledger.move(job, JobState.SENT, remote_id=f"local-{job.tag}")
        else:
            self._ledger.move(job, JobState.PLANNED, message="it was cut short; it runs again")

    def plan_again(self, job: JobRecord) -> None:
        """Have a job that was refused or failed sent once more, unless its result is there after all."""
        if job.state not in (JobState.REFUSED, JobState.FAILED):
            return
        if job.state is JobState.FAILED and job.remote_id is not None and self._connection.remembers:
            if (job.message or "").startswith(_ABSENCES) and self._is_there_after_all(job):
                self.advance(self._ledger.move(job, JobState.SENT, message="the service has its result after all"))
                return
            charged = job.qpu_seconds if job.qpu_seconds is not None else self._finder.charged(job, job.remote_id)
            self._ledger.add_duplicate(job, job.remote_id, RemoteState.FAILED, charged)
        self._ledger.move(job, JobState.PLANNED, message="to be sent again")

    def _is_there_after_all(self, job: JobRecord) -> bool:
        """Save the result of a failed job if the service has it now, which costs nothing."""
        try:
            status = self._requests.attempt(lambda: self._connection.status(job.remote_id))
            if status.state is not RemoteState.DONE:
                return False
            self.save(job, job.remote_id)
        except GivenUpError:
            return False
        return True

    def advance(self, job: JobRecord) -> None:
        """Take a job as far as the service lets it come now."""
        if job.state is JobState.CANCELLING:
            job = self._finish_cancelling(job)
        if job.state is JobState.SENT:
            job = self._look(job)
        if job.state is JobState.FINISHED:
            self._bring_home(job)

    def _look(self, job: JobRecord) -> JobRecord:
        if self.has_result(job):
            return self._ledger.move(job, JobState.FINISHED)
        try:
            status = self._requests.attempt(lambda: self._connection.status(job.remote_id))
        except GivenUpError as stop:
            if stop.trouble.meaning is not Meaning.MISSING:
                raise
            if self._is_recent(job):
                return job
            remedy = "`qlam jobs resume --failed` sends it again"
            return self._fail(job, f"{_NOT_KNOWN} ({stop.trouble.message}); {remedy}")
        if status.state is RemoteState.DONE:
            return self._ledger.move(job, JobState.FINISHED)
        if status.state is RemoteState.FAILED:
            return self._fail(job, status.words)
        if status.state is RemoteState.CANCELLED:
            return self._ledger.move(job, JobState.CANCELLED, message="cancelled at the service")
        if status.words != job.message:
            self._ledger.note(job, status.words)
        return job

    def _bring_home(self, job: JobRecord) -> None:
        if not self.has_result(job):
            try:
                self.save(job, job.remote_id)
            except GivenUpError as stop:
                self._stay_away(job, stop.trouble)
                return
        self._ledger.move(job, JobState.SAVED, qpu_seconds=self._finder.charged(job, job.remote_id))

    def _stay_away(self, job: JobRecord, trouble: Trouble) -> None:
        """Record why a finished job's result could not be had."""
        if trouble.meaning is Meaning.MISSING:
            remedy = "`qlam jobs resume --failed` sends it again"
            self._fail(job, f"{_NOT_KEPT} ({trouble.message}); {remedy}")
            return
        if trouble.meaning not in OF_ONE_JOB:
            self._out_of_reach.add(job.id)
        remedy = f"the service still has it: run `qlam jobs fetch {job.submission}` later"
        self._ledger.note(job, f"{trouble.message}; {remedy}")
        self._complain(f"job {job.id} has no result yet: {trouble.message}; {remedy}")

    def save(self, job: JobRecord, remote_id: str) -> None:
        """Bring a result home, judge it and write it down."""
        expected = self._judge.expected(job)
        request = self._requests.attempt if self._connection.remembers else self._requests.only
        result = request(
            lambda: self._judge.arrived(job, expected, self._connection.result(remote_id)),
            seconds=self._policy.result_seconds,
        )
        about = {"job": job.id, "tag": job.tag, "remote_id": remote_id, "fetched": self._clock.now()}
        files.write_result(self._ledger.home, job.submission, job.number, result, about)

    def fetch_again(self, job: JobRecord) -> None:
        """Put a saved result that is not believed aside, and ask for it again."""
        fault = self._judge.fault(job) if job.state is JobState.SAVED else None
        if fault is None:
            return
        aside = files.put_aside(self._ledger.home, job.submission, job.number)
        kept = "" if aside is None else f" (kept as {aside.name})"
        self._report(f"job {job.id} is asked for again: {fault}{kept}")
        self.advance(self._ledger.move(job, JobState.FINISHED, message=fault))

    def cancel(self, job: JobRecord) -> None:
        """Cancel a job that has not ended; fetch the result of one that finished first."""
        if job.state is JobState.SENT:
            job = self._ledger.move(job, JobState.CANCELLING)
        if job.state in (JobState.CANCELLING, JobState.FINISHED):
            self.advance(job)
            job = self._ledger.job(job.id)
        if job.state is JobState.PLANNED or (job.state is JobState.FINISHED and job.id not in self._out_of_reach):
            self._ledger.move(job, JobState.CANCELLED)
        elif job.state is JobState.UNKNOWN and self._patience() <= 0:
            message = "it never turned up at the service and is given up"
            self._ledger.move(job, JobState.CANCELLED, message=message)

    def _finish_cancelling(self, job: JobRecord) -> JobRecord:
        attempt, refusal = self._requests.attempt, None
        try:
            if attempt(lambda: self._connection.cancel(job.remote_id)):
                return self._ledger.move(job, JobState.CANCELLED)
        except GivenUpError as stop:
            if stop.trouble.meaning not in OF_ONE_JOB:
                raise
            refusal = stop
        try:
            state = attempt(lambda: self._connection.status(job.remote_id)).state
        except GivenUpError as stop:
            if stop.trouble.meaning is not Meaning.MISSING or self._is_recent(job):
                raise
            return self._ledger.move(job, JobState.CANCELLED, message=_NOT_KNOWN)
        if state is RemoteState.CANCELLED:
            return self._ledger.move(job, JobState.CANCELLED)
        if state is RemoteState.PENDING and refusal is not None:
            raise refusal
        return self._ledger.move(job, JobState.SENT, message="it had ended before it could be cancelled")

    def _is_recent(self, job: JobRecord) -> bool:
        """Whether a job was moved so short a time ago that the service may not know it yet."""
        return self._ledger.now() - job.updated < self._policy.lookup_seconds

    def _fail(self, job: JobRecord, message: str) -> JobRecord:
        self._complain(f"job {job.id} failed: {message}")
        return self._ledger.move(job, JobState.FAILED, message=message)

    def has_result(self, job: JobRecord) -> bool:
        """Whether a result of this job is saved that is believed."""
        return self._judge.fault(job) is None
