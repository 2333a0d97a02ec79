"""A submission as its user sees it: its jobs, where each stands, and what was recorded with it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.jobs.job_state import CLOSED, JobState
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.records import JobRecord, SubmissionRecord


@dataclass(frozen=True)
class Submission:
    """A submission as it stands: its jobs, what was recorded with it, and what could not be done just now."""

    id: str
    backend: str
    created: float
    jobs: tuple[JobRecord, ...]
    details: dict[str, Any]
    problems: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether any job still has to be sent, followed or fetched."""
        return any(job.state not in CLOSED for job in self.jobs)

    @property
    def complete(self) -> bool:
        """Whether every result is on disk."""
        return all(job.state is JobState.SAVED for job in self.jobs)

    def to_json(self) -> dict[str, Any]:
        """Return a summary that fits into JSON."""
        jobs = [
            {
                "job": job.id,
                "state": str(job.state),
                "remote_id": job.remote_id,
                "tag": job.tag,
                "qpu_seconds": job.qpu_seconds,
                "message": job.message,
            }
            for job in self.jobs
        ]
        created = datetime.datetime.fromtimestamp(self.created, datetime.UTC).isoformat(timespec="seconds")
        return {
            "submission": self.id,
            "backend": self.backend,
            "device": self.details.get("device"),
            "created": created,
            "open": self.open,
            "complete": self.complete,
            "jobs": jobs,
            "metadata": self.details.get("metadata", {}),
            "problems": list(self.problems),
        }


def show(ledger: Ledger, submission: str | None = None) -> list[Submission]:
    """Return one submission, or all, as recorded; asks nobody."""
    records = ledger.submissions() if submission is None else [ledger.submission(submission)]
    return [recorded(ledger, record) for record in records]


def recorded(ledger: Ledger, record: SubmissionRecord, problems: tuple[str, ...] = ()) -> Submission:
    """Return the present state of a submission on disk."""
    jobs = tuple(ledger.jobs(record.id))
    return Submission(record.id, record.backend, record.created, jobs, record.details, problems)
