"""Finds jobs at the service by their tags: those whose fate is not known, and those that exist twice."""

from __future__ import annotations

from dataclasses import dataclass

from qlam_qiskit.jobs.connections.base import RemoteJob, RemoteState
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.records import JobRecord
from qlam_qiskit.jobs.requests import Requests

_SENT_ONCE = (JobState.SENT, JobState.FINISHED, JobState.SAVED, JobState.CANCELLING)
_BEST_FIRST = (RemoteState.DONE, RemoteState.PENDING, RemoteState.FAILED, RemoteState.CANCELLED)


@dataclass
class Finder:
    """Looks for the jobs of one submission."""

    requests: Requests
    submission: str

    def settle(self, job: JobRecord) -> JobRecord:
        """Find out whether a job whose sending got no clear answer was accepted; the service has the last word.

        It is asked several times, because it may list a job only a while after it accepted it.
        """
        requests = self.requests
        requests.report(f"job {job.id}: asking the service whether it was accepted")
        for pause in requests.policy.settle_pauses():
            requests.pause(pause, job)
            found = self._with_tag(job, self._list(job))
            if found:
                kept = self._best(found, job)
                job = requests.ledger.move(
                    job, JobState.SENT, remote_id=kept.id, message="found at the service by its tag"
                )
                self._cancel_others(job, found)
                return job
        return requests.ledger.move(job, JobState.PLANNED, message="the service does not know it")

    def drop_duplicates(self, jobs: list[JobRecord]) -> None:
        """Cancel every job at the service that carries the tag of one of ``jobs`` and is not the one we follow."""
        jobs = [job for job in jobs if job.state in _SENT_ONCE]
        if all(job.state is JobState.SAVED for job in jobs):
            return
        listed = self._list()
        for job in jobs:
            self._cancel_others(job, self._with_tag(job, listed))

    def _cancel_others(self, job: JobRecord, found: list[RemoteJob]) -> None:
        for other in found:
            if other.id != job.remote_id and self.requests.attempt(
                lambda other=other: self.requests.connection.cancel(other.id)
            ):
                self.requests.ledger.note(job, f"cancelled the duplicate {other.id}")

    def _best(self, found: list[RemoteJob], job: JobRecord) -> RemoteJob:
        """Choose which of several jobs with one tag to keep: one that is done, else one that may still be."""
        if len(found) == 1:
            return found[0]
        connection = self.requests.connection
        ranks = [
            _BEST_FIRST.index(self.requests.attempt(lambda other=other: connection.status(other.id), job).state)
            for other in found
        ]
        return found[ranks.index(min(ranks))]

    def _list(self, job: JobRecord | None = None) -> list[RemoteJob]:
        return self.requests.attempt(lambda: self.requests.connection.find(self.submission), job)

    @staticmethod
    def _with_tag(job: JobRecord, listed: list[RemoteJob]) -> list[RemoteJob]:
        return [other for other in listed if job.tag in other.tags]
