"""Finds jobs at the service by their tags: those whose fate is not known, and those that exist twice."""

from __future__ import annotations

from dataclasses import dataclass

from qlam_qiskit.jobs.connections.base import RemoteJob, RemoteState
from qlam_qiskit.jobs.faults import explain
from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.jobs.records import JobRecord
from qlam_qiskit.jobs.requests import Requests

_BEST_FIRST = (RemoteState.DONE, RemoteState.PENDING, RemoteState.FAILED, RemoteState.CANCELLED)


@dataclass
class Finder:
    """Looks for the jobs of one submission, and sees to it that one of each is used and the others are on record."""

    requests: Requests
    submission: str

    def listed(self) -> list[RemoteJob]:
        """Ask the service for every job of the submission."""
        return self.requests.attempt(lambda: self.requests.connection.find(self.submission))

    def adopt(self, job: JobRecord, listed: list[RemoteJob]) -> JobRecord:
        """Follow the best of the listed jobs that carry the tag of a job of unknown fate, or refused, if any does."""
        if job.state not in (JobState.UNKNOWN, JobState.REFUSED) or not (found := _with_tag(job, listed)):
            return job
        states = {other.id: self._state(other.id) for other in found} if len(found) > 1 else {}
        kept = found[0].id if not states else min(states, key=lambda other: _BEST_FIRST.index(states[other]))
        message = "found at the service by its tag"
        job = self.requests.ledger.move(job, JobState.SENT, remote_id=kept, message=message)
        return self.sort_out(job, listed)

    def sort_out(self, job: JobRecord, listed: list[RemoteJob]) -> JobRecord:
        """Record every listed job that carries a job's tag and is not the one we follow; cancel those that wait.

        Where one of them is done or may still be, and ours is worse off, we follow it instead.
        """
        ledger = self.requests.ledger
        known = {other.remote_id: other for other in ledger.duplicates(self.submission, [])}
        others = [other.id for other in _with_tag(job, listed) if other.id != job.remote_id]
        open_questions = [other for other in others if other not in known or known[other].qpu_seconds is None]
        if not open_questions:
            return job
        states = {other: self._state(other) for other in open_questions}
        if job.state is JobState.SENT and job.remote_id is not None:
            states = {job.remote_id: self._state(job.remote_id), **states}
            kept = min(states, key=lambda other: _BEST_FIRST.index(states[other]))
            del states[kept]
            if kept != job.remote_id:
                job = ledger.follow(job, kept, f"{kept} is used instead of {job.remote_id}")
        for other, state in states.items():
            now = state
            if state is RemoteState.PENDING:
                cancelled = self.requests.attempt(lambda other=other: self.requests.connection.cancel(other))
                now = RemoteState.CANCELLED if cancelled else self._state(other)
            ledger.add_duplicate(job, other, str(now), self.charged(job, other))
        return job

    def charged(self, job: JobRecord, remote_id: str) -> float | None:
        """Ask for the QPU time of a job at the service; it is nice to know and not worth failing for."""
        requests = self.requests
        try:
            return requests.once(lambda: requests.connection.qpu_seconds(remote_id), requests.policy.request_seconds)
        except Exception as error:
            requests.report(f"job {job.id}: its QPU time is not known: {explain(error).message}")
            return None

    def _state(self, remote_id: str) -> RemoteState:
        return self.requests.attempt(lambda: self.requests.connection.status(remote_id)).state


def _with_tag(job: JobRecord, listed: list[RemoteJob]) -> list[RemoteJob]:
    return [other for other in listed if job.tag in other.tags]
