"""Carries the jobs of one submission: sends what is missing, finds what was sent, brings results home.

Every step starts from what is on disk and ends on disk, so that any process can take over after any other died.
The order is what makes it safe: the tag is committed before the request, a job whose request got no clear answer
is looked for under its tag and sent again only on a person's word, and a result counts only once its file is flushed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from qlam_qiskit.jobs.connections.base import Connection
from qlam_qiskit.jobs.errors import DamagedRowError, JobError, LeaseLostError
from qlam_qiskit.jobs.faults import Meaning
from qlam_qiskit.jobs.finder import Finder
from qlam_qiskit.jobs.follower import OF_ONE_JOB, Follower
from qlam_qiskit.jobs.job_state import CLOSED, JobState
from qlam_qiskit.jobs.judge import Judge
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.policy import Clock, Policy
from qlam_qiskit.jobs.records import JobRecord, SubmissionRecord
from qlam_qiskit.jobs.requests import GivenUpError, Requests
from qlam_qiskit.jobs.sender import Sender

_UNDER_WAY = (JobState.SENT, JobState.FINISHED, JobState.CANCELLING)
# A refused job is among them: what refused it may not have been what accepted it.
_AT_THE_SERVICE = (JobState.UNKNOWN, JobState.SAVED, JobState.REFUSED, *_UNDER_WAY)


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
        judge = Judge(ledger.home, submission)
        self._follower = Follower(self._requests, self._finder, judge, self.patience, self._complain)
        self._sender = Sender(self._requests, submission.id, self._follower.save, self._complain)

    def jobs(self) -> list[JobRecord]:
        """Return the jobs as they stand on disk; those whose rows are damaged are left out and complained of."""
        damaged: list[DamagedRowError] = []
        jobs = self.ledger.jobs(self.submission.id, damaged)
        for error in damaged:
            self._complain(str(error))
        return jobs

    def unknown(self) -> list[JobRecord]:
        """Return the jobs of which nobody knows whether they were accepted."""
        return [job for job in self.jobs() if job.state is JobState.UNKNOWN]

    def send_missing(self) -> None:
        """Send every job that is planned, and those of unknown fate that a person wants sent again."""
        try:
            self._settle()
            waiting = [job for job in self.jobs() if job.state is JobState.PLANNED or job.id in self._sender.again]
            for job in waiting:
                self._with_lease(job, self._sender.send)
            if waiting and all(job.state is not JobState.PLANNED for job in self.jobs()):
                self._requests.attempt(self.connection.close_session)
        except GivenUpError as stop:
            self._complain(stop.trouble.message)

    def collect(self) -> None:
        """Look once at how each job is doing; save what is finished, finish cancellations cut short."""

        def steps() -> Iterator[tuple[JobRecord | None, Callable[[], None]]]:
            if self.connection.remembers:
                self._settle()
                yield None, self._look_at_the_list
            for job in self.jobs():
                if job.state in _UNDER_WAY:
                    yield job, functools.partial(self._with_lease, job, self._follower.advance)
                elif job.state is JobState.SAVED and not self._follower.has_result(job):
                    yield job, functools.partial(self._with_lease, job, self._follower.fetch_again)

        self._all_that_can_be_done(steps())

    def search(self) -> bool:
        """Look for the jobs of unknown fate, less and less often, until the bound; tell whether any turned up.

        The bound counts from when a job was sent: a command that comes later has looked once, in :meth:`collect`.
        """
        before, look, waited = self.unknown(), 0, 0.0
        if before and self.patience() > 0:
            self._report(f"asking the service whether it accepted {_named(before)}, for up to {self.patience():.0f} s")
        while (left := min(self.patience(), self.policy.lookup_seconds - waited)) > 0:
            pause = min(self.policy.pause(look), left)
            self.clock.sleep(pause)
            waited, look = waited + pause, look + 1
            try:
                self._look_at_the_list()
            except GivenUpError as stop:
                if stop.trouble.meaning is Meaning.UNAUTHORIZED:
                    self._complain(stop.trouble.message)
                    break
                self._report(stop.trouble.message)
        return len(self.unknown()) < len(before)

    def patience(self) -> float:
        """Return for how many seconds more a command waits for jobs of unknown fate to turn up; 0 without any."""
        sent = [job.doubtful for job in self.unknown() if job.doubtful is not None]
        most = self.policy.lookup_seconds
        return min(max((at + most - self.ledger.now() for at in sent), default=0.0), most)

    def name_unknown(self) -> None:
        """Say of each job of unknown fate that it is, and what can be done about it at what cost."""
        for job in self.unknown():
            self._complain(
                f"it is unknown whether job {job.id} was accepted; `qlam jobs fetch {job.submission}` looks again, "
                f"`qlam jobs resume {job.submission} --send-again` sends it again, which may cost {_cost(job)} twice"
            )

    def send_unknown_again(self) -> None:
        """Have the jobs of unknown fate sent once more, since a person wants it; those that turn up now are not."""
        try:
            self._settle()
            self._look_at_the_list()
        except GivenUpError as stop:
            self._complain(stop.trouble.message)
            return
        for job in self.unknown():
            self._report(f"job {job.id} is sent again; if it was accepted before, it costs {_cost(job)} twice")
            self._sender.again.add(job.id)

    def cancel(self) -> None:
        """Cancel every job that has not ended; jobs that finished first are fetched instead."""

        def steps() -> Iterator[tuple[JobRecord | None, Callable[[], None]]]:
            self._settle()
            if self.unknown():
                yield None, self._look_at_the_list
            for job in self.jobs():
                if job.state not in CLOSED:
                    yield job, functools.partial(self._with_lease, job, self._follower.cancel)

        self._all_that_can_be_done(steps())

    def plan_again(self, states: tuple[JobState, ...]) -> None:
        """Have the jobs in these closed states sent once more, unless the service has them after all."""
        closed = [job for job in self.jobs() if job.state in states]
        if closed and self.connection.remembers:
            try:
                self._look_at_the_list()
            except GivenUpError as stop:
                self._complain(stop.trouble.message)
                return
        for job in closed:
            self._with_lease(job, self._follower.plan_again)

    def mention_ended(self) -> None:
        """Count every job that ended without a result among the problems, also one that ended long ago."""
        for job in self.jobs():
            said_already = any(f"job {job.id} " in problem for problem in self.problems)
            if job.state in (JobState.REFUSED, JobState.FAILED) and not said_already:
                self._complain(f"job {job.id} is {job.state}: {job.message}")

    def _settle(self) -> None:
        """Find the jobs that were being sent by a process that died."""
        for job in self.jobs():
            if job.state is JobState.SENDING:
                self._with_lease(job, self._follower.settle)

    def _look_at_the_list(self) -> None:
        """Ask the service for all jobs of the submission, if there may be any that we have not on record."""
        jobs = [job for job in self.jobs() if job.state in _AT_THE_SERVICE or job.doubtful is not None]
        if all(job.state is JobState.SAVED and job.doubtful is None for job in jobs):
            return
        listed = self._finder.listed()
        for job in jobs:
            if any(job.tag in other.tags and other.id != job.remote_id for other in listed):
                self._with_lease(job, functools.partial(self._follower.compare, listed=listed))

    def _all_that_can_be_done(self, steps: Iterator[tuple[JobRecord | None, Callable[[], None]]]) -> None:
        """Do steps, each of one job or of none, also when one cannot be done; two outages in a row end it all."""
        outage = False
        for job, step in steps:
            try:
                step()
            except GivenUpError as stop:
                of_one_job = job is not None and stop.trouble.meaning in OF_ONE_JOB
                self._complain(f"job {job.id}: {stop.trouble.message}" if of_one_job else stop.trouble.message)
                if not of_one_job and (outage or stop.trouble.meaning is Meaning.UNAUTHORIZED):
                    return
                outage = not of_one_job
            else:
                outage = False

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
        except (JobError, DamagedRowError) as error:
            self._complain(str(error))
        finally:
            self.ledger.release(job.id)

    def _complain(self, message: str) -> None:
        if message not in self.problems:
            self.problems.append(message)


def _named(jobs: list[JobRecord]) -> str:
    return f"job {jobs[0].id}" if len(jobs) == 1 else f"{len(jobs)} jobs"


def _cost(job: JobRecord) -> str:
    """Say what sending a job costs."""
    if job.estimated_seconds is None:
        return "an unknown QPU time"
    return f"about {job.estimated_seconds:.0f} s of QPU time"
