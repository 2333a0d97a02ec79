"""Carries the jobs of one submission: sends what is missing, finds what was sent, brings results home.

Every step starts from what is on disk and ends on disk, so that any process can take over after any other died.
The order is what makes it safe: the tag is committed before the request, a job whose request got no clear answer
is looked for under its tag before it is sent again, and a result counts only once its file is flushed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.connections.base import Connection, RemoteState
from qlam_qiskit.jobs.errors import JobError, LeaseLostError, LedgerError
from qlam_qiskit.jobs.faults import Meaning, Trouble, explain
from qlam_qiskit.jobs.finder import Finder
from qlam_qiskit.jobs.job_state import CLOSED, JobState
from qlam_qiskit.jobs.judge import Judge
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.policy import Clock, Policy
from qlam_qiskit.jobs.records import JobRecord, SubmissionRecord
from qlam_qiskit.jobs.requests import GivenUpError, Requests


class Courier:
    """The hands of one submission: its ledger, the other end, and how patient to be.

    ``problems`` collects one line for everything that could not be done; the jobs stay in the ledger.
    """

    def __init__(
        self,
        ledger: Ledger,
        submission: SubmissionRecord,
        connection: Connection,
        policy: Policy,
        clock: Clock,
        report: Callable[[str], None],
    ) -> None:
        self.ledger = ledger
        self.submission = submission
        self.connection = connection
        self.policy = policy
        self.clock = clock
        self.problems: list[str] = []
        self._report = report
        self._requests = Requests(ledger, connection, policy, clock, report)
        self._finder = Finder(self._requests, submission.id)
        self._judge = Judge(ledger.home, submission)

    def jobs(self) -> list[JobRecord]:
        """Return the jobs as they stand on disk."""
        return self.ledger.jobs(self.submission.id)

    def send_missing(self) -> None:
        """Find out about jobs whose sending was cut short, then send every job that the other end lacks."""
        try:
            self._settle_all()
            waiting = [job for job in self.jobs() if job.state is JobState.PLANNED]
            for job in waiting:
                self._with_lease(job, self._send)
            if waiting and all(job.state is not JobState.PLANNED for job in self.jobs()):
                self._requests.attempt(self.connection.close_session)
        except GivenUpError as stop:
            self._complain(stop.trouble.message)

    def collect(self) -> None:
        """Look once at how each job is doing; save what is finished, finish cancellations cut short."""
        try:
            if self.connection.remembers:
                self._finder.drop_duplicates(self.jobs())
            for job in self.jobs():
                if job.state in (JobState.SENT, JobState.FINISHED, JobState.CANCELLING):
                    self._with_lease(job, self._advance)
                elif job.state is JobState.SAVED and not self._has_result(job):
                    self._with_lease(job, self._fetch_again)
        except GivenUpError as stop:
            self._complain(stop.trouble.message)

    def cancel(self) -> None:
        """Cancel every job that has not ended; jobs that finished first are fetched instead."""
        try:
            self._settle_all()
            for job in self.jobs():
                if job.state not in CLOSED:
                    self._with_lease(job, self._cancel)
        except GivenUpError as stop:
            self._complain(stop.trouble.message)

    def plan_again(self, states: tuple[JobState, ...]) -> None:
        """Have the jobs in these closed states sent once more."""
        for job in self.jobs():
            if job.state in states:
                self._with_lease(job, self._plan_again)

    def mention_ended(self) -> None:
        """Count every job that ended without a result among the problems, also one that ended long ago."""
        for job in self.jobs():
            said_already = any(f"job {job.id} " in problem for problem in self.problems)
            if job.state in (JobState.REFUSED, JobState.FAILED) and not said_already:
                self._complain(f"job {job.id} is {job.state}: {job.message}")

    def _settle_all(self) -> None:
        for job in self.jobs():
            if job.state is JobState.SENDING:
                self._with_lease(job, self._settle)

    def _open_session(self, job: JobRecord) -> None:
        known = self.ledger.submission(self.submission.id).session
        session = self._requests.attempt(lambda: self.connection.open_session(known), job)
        if session != known:
            self.ledger.set_session(self.submission.id, session)

    # Steps on one job whose lease we hold. Another process may have moved it since we looked, so each step begins
    # with the state that the claim returned.

    def _settle(self, job: JobRecord) -> JobRecord:
        if job.state is not JobState.SENDING:
            return job
        if self.connection.remembers:
            return self._finder.settle(job)
        if self._has_result(job):
            return self.ledger.move(job, JobState.SENT, remote_id=f"local-{job.tag}")
        return self.ledger.move(job, JobState.PLANNED, message="it was cut short; it runs again")

    def _plan_again(self, job: JobRecord) -> None:
        if job.state in (JobState.REFUSED, JobState.FAILED):
            self.ledger.move(job, JobState.PLANNED, message="to be sent again")

    def _send(self, job: JobRecord) -> None:
        if job.state is not JobState.PLANNED:
            return
        pubs = files.read_inputs(self.ledger.home, job.submission, job.number)
        for attempt in range(self.policy.attempts):
            if self.connection.remembers:
                self._requests.wait_for_slot(job)
            self._open_session(job)
            job = self.ledger.move(job, JobState.SENDING)
            trouble = self._post(job, pubs)
            if trouble is None:
                return
            if trouble.meaning in (Meaning.REFUSED, Meaning.MISSING):
                self.ledger.move(job, JobState.REFUSED, message=trouble.message)
                self._complain(f"job {job.id} was not sent: {trouble.message}")
                return
            if trouble.meaning in (Meaning.UNSURE, Meaning.DAMAGED):
                job = self._settle(job)
            else:
                job = self.ledger.move(job, JobState.PLANNED, message=trouble.message)
            if job.state is not JobState.PLANNED:
                return
            if trouble.meaning is Meaning.NOT_NOW:
                break
            if trouble.meaning is Meaning.UNAUTHORIZED:
                self._requests.renew_login(trouble)
            self._report(f"job {job.id}: {trouble.message}")
            if attempt + 1 < self.policy.attempts:
                self._requests.pause(self.policy.pause(attempt), job)
        raise GivenUpError(Trouble(trouble.meaning, f"job {job.id} is not sent yet: {trouble.message}"))

    def _post(self, job: JobRecord, pubs: list[files.Pub]) -> Trouble | None:
        """Make the one request that may cost money; returns what went wrong, if anything."""
        seconds = self.policy.post_seconds if self.connection.remembers else self.policy.local_seconds
        try:
            remote_id = self._requests.once(lambda: self.connection.post(job, pubs), seconds, job)
        except (LedgerError, LeaseLostError):
            raise  # the heartbeat failed, not the request: the job stays as it is, to be looked for later
        except Exception as error:
            return explain(error)
        if not self.connection.remembers:
            # The other end forgets with this process: the result is saved before the job counts as sent.
            self._save(job, remote_id)
        self.ledger.move(job, JobState.SENT, remote_id=remote_id)
        return None

    def _advance(self, job: JobRecord) -> None:
        if job.state is JobState.CANCELLING:
            job = self._finish_cancelling(job)
        if job.state is JobState.SENT:
            job = self._look(job)
        if job.state is JobState.FINISHED:
            self._bring_home(job)

    def _look(self, job: JobRecord) -> JobRecord:
        if self._has_result(job):
            return self.ledger.move(job, JobState.FINISHED)
        try:
            status = self._requests.attempt(lambda: self.connection.status(job.remote_id), job)
        except GivenUpError as stop:
            if stop.trouble.meaning is not Meaning.MISSING:
                raise
            if self.ledger.now() - job.updated < self.policy.settle_seconds:
                return job  # sent a moment ago: the service may not know it yet
            remedy = "`qlam jobs resume --failed` sends it again"
            return self._fail(job, f"the service no longer knows it ({stop.trouble.message}); {remedy}")
        if status.state is RemoteState.DONE:
            return self.ledger.move(job, JobState.FINISHED)
        if status.state is RemoteState.FAILED:
            return self._fail(job, status.words)
        if status.state is RemoteState.CANCELLED:
            return self.ledger.move(job, JobState.CANCELLED, message="cancelled at the service")
        if status.words != job.message:
            self.ledger.note(job, status.words)
        return job

    def _bring_home(self, job: JobRecord) -> None:
        if not self._has_result(job):
            try:
                self._save(job, job.remote_id)
            except GivenUpError as stop:
                self._stay_away(job, stop.trouble)
                return
        self.ledger.move(job, JobState.SAVED, qpu_seconds=self._charged(job))

    def _stay_away(self, job: JobRecord, trouble: Trouble) -> None:
        """Record why a finished job's result could not be had."""
        if trouble.meaning is Meaning.MISSING:
            remedy = "`qlam jobs resume --failed` sends it again"
            self._fail(job, f"its result is no longer kept ({trouble.message}); {remedy}")
            return
        remedy = f"the service still has it: run `qlam jobs fetch {job.submission}` later"
        self.ledger.note(job, f"{trouble.message}; {remedy}")
        self._complain(f"job {job.id} has no result yet: {trouble.message}; {remedy}")

    def _save(self, job: JobRecord, remote_id: str) -> None:
        expected = self._judge.expected(job)
        request = self._requests.attempt if self.connection.remembers else self._requests.only
        result = request(
            lambda: self._judge.arrived(job, expected, self.connection.result(remote_id)),
            job,
            seconds=self.policy.result_seconds,
        )
        about = {"job": job.id, "tag": job.tag, "remote_id": remote_id, "fetched": self.clock.now()}
        files.write_result(self.ledger.home, job.submission, job.number, result, about)

    def _fetch_again(self, job: JobRecord) -> None:
        fault = self._judge.fault(job) if job.state is JobState.SAVED else None
        if fault is None:
            return
        aside = files.put_aside(self.ledger.home, job.submission, job.number)
        kept = "" if aside is None else f" (kept as {aside.name})"
        self._report(f"job {job.id} is asked for again: {fault}{kept}")
        self._advance(self.ledger.move(job, JobState.FINISHED, message=fault))

    def _cancel(self, job: JobRecord) -> None:
        if job.state is JobState.SENT:
            job = self.ledger.move(job, JobState.CANCELLING)
        if job.state in (JobState.CANCELLING, JobState.FINISHED):
            self._advance(job)
            job = self.ledger.job(job.id)
        if job.state in (JobState.PLANNED, JobState.FINISHED):
            self.ledger.move(job, JobState.CANCELLED)

    def _finish_cancelling(self, job: JobRecord) -> JobRecord:
        attempt = self._requests.attempt
        if attempt(lambda: self.connection.cancel(job.remote_id), job):
            return self.ledger.move(job, JobState.CANCELLED)
        if attempt(lambda: self.connection.status(job.remote_id), job).state is RemoteState.CANCELLED:
            return self.ledger.move(job, JobState.CANCELLED)
        return self.ledger.move(job, JobState.SENT, message="it had ended before it could be cancelled")

    def _fail(self, job: JobRecord, message: str) -> JobRecord:
        self._complain(f"job {job.id} failed: {message}")
        return self.ledger.move(job, JobState.FAILED, message=message)

    def _charged(self, job: JobRecord) -> float | None:
        """Ask for the QPU time; it is nice to know and not worth failing for."""
        try:
            return self._requests.once(
                lambda: self.connection.qpu_seconds(job.remote_id), self.policy.request_seconds, job
            )
        except (LedgerError, LeaseLostError):
            raise
        except Exception as error:
            self._report(f"job {job.id}: its QPU time is not known: {explain(error).message}")
            return None

    def _has_result(self, job: JobRecord) -> bool:
        return self._judge.fault(job) is None

    def _with_lease(self, job: JobRecord, step: Callable[[JobRecord], Any]) -> None:
        """Do one step on a job that no other process works on; a JobError concerns this job only."""
        held = self.ledger.claim(job.id)
        if held is None:
            self._report(f"job {job.id}: another process is working on it")
            return
        try:
            step(held)
        except LeaseLostError as error:
            self._report(str(error))
        except JobError as error:
            self._complain(str(error))
        finally:
            self.ledger.release(job.id)

    def _complain(self, message: str) -> None:
        self.problems.append(message)
