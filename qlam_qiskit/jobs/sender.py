"""Sends jobs: one request each that may cost money, and after it a state on disk that says what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qlam_qiskit.jobs import files
from qlam_qiskit.jobs.faults import DeadlineError, Meaning, Trouble, UncertainError, explain
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.records import JobRecord
from qlam_qiskit.jobs.requests import GivenUpError, Requests

_REFUSALS = (Meaning.REFUSED, Meaning.MISSING)


@dataclass
class Sender:
    """Sends the jobs of one submission.

    ``save`` puts the result of a job that ran here on disk; ``complain`` takes a line for every job that was refused.
    ``again`` holds the ids of jobs of unknown fate that a person wants sent once more.
    """

    requests: Requests
    submission: str
    save: Callable[[JobRecord, str], None]
    complain: Callable[[str], None]
    again: set[str] = field(default_factory=set)

    def send(self, job: JobRecord) -> None:
        """Send a job that we hold if it is planned, or of unknown fate and in ``again``, which is then used up.

        What was certainly not sent is tried again as often as the policy allows; raises GivenUpError after that. After
        a sending without a clear answer the job is of unknown fate, and nothing is tried again.
        """
        if job.state is not JobState.PLANNED and not (job.state is JobState.UNKNOWN and job.id in self.again):
            return
        self.again.discard(job.id)
        requests, ledger, unsent = self.requests, self.requests.ledger, job.state
        pubs = files.read_inputs(ledger.home, job.submission, job.number)
        for attempt in range(requests.policy.attempts):
            if requests.connection.remembers:
                requests.wait_for_slot(job)
            self._open_session()
            trouble = self._make_ready(pubs)
            if trouble is None:
                job = ledger.move(job, JobState.SENDING)
                trouble, unsure = self._post(job, pubs)
                if trouble is None:
                    return
                if unsure:
                    ledger.move(job, JobState.UNKNOWN, message=trouble.message, doubtful=ledger.now())
                    requests.report(f"job {job.id}: {trouble.message}")
                    return
            job = self._put_back(job, unsent, trouble)
            if trouble.meaning in _REFUSALS:
                return
            if trouble.meaning is Meaning.NOT_NOW:
                break
            if trouble.meaning is Meaning.UNAUTHORIZED:
                requests.renew_login(trouble)
            requests.report(f"job {job.id}: {trouble.message}")
            if attempt + 1 < requests.policy.attempts:
                requests.clock.sleep(requests.policy.pause(attempt))
        raise GivenUpError(Trouble(trouble.meaning, f"job {job.id} is not sent yet: {trouble.message}"))

    def _open_session(self) -> None:
        requests = self.requests
        known = requests.ledger.submission(self.submission).session
        session = requests.attempt(lambda: requests.connection.open_session(known))
        if session != known:
            requests.ledger.set_session(self.submission, session)

    def _make_ready(self, pubs: list[files.Pub]) -> Trouble | None:
        """Have everything checked that can be before the one request that may cost money."""
        requests = self.requests
        try:
            requests.once(lambda: requests.connection.make_ready(pubs), requests.policy.request_seconds)
        except Exception as error:
            return explain(error)
        return None

    def _put_back(self, job: JobRecord, unsent: JobState, trouble: Trouble) -> JobRecord:
        """Put a job back that was certainly not sent just now, or close it when it was refused."""
        if trouble.meaning in _REFUSALS:
            gone = "; if the device was retired, submit again to another" if trouble.meaning is Meaning.MISSING else ""
            self.complain(f"job {job.id} was not sent: {trouble.message}{gone}")
            # An earlier sending of unknown fate may have been accepted all the same.
            unsent = JobState.REFUSED if unsent is JobState.PLANNED else unsent
        return job if job.state is unsent else self.requests.ledger.move(job, unsent, message=trouble.message)

    def _post(self, job: JobRecord, pubs: list[files.Pub]) -> tuple[Trouble | None, bool]:
        """Make the one request that may cost money; returns what went wrong, and whether it may be accepted anyway."""
        connection, policy, ledger = self.requests.connection, self.requests.policy, self.requests.ledger
        seconds = policy.post_seconds if connection.remembers else policy.local_seconds
        try:
            remote_id = self.requests.once(lambda: connection.post(job, pubs), seconds)
        except Exception as error:
            return explain(error), connection.remembers and isinstance(error, UncertainError | DeadlineError)
        if not connection.remembers:
            # The other end forgets with this process: the result is saved before the job counts as sent.
            self.save(job, remote_id)
        doubtful = None if connection.posts_once else ledger.now()
        ledger.move(job, JobState.SENT, remote_id=remote_id, doubtful=doubtful)
        return None, False
