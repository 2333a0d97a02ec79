"""A submission as its user sees it: its jobs, where each stands, and what was recorded with it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.jobs.errors import DamagedRowError
from qlam_qiskit.jobs.job_state import CLOSED, JobState
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.records import Duplicate, JobRecord, SubmissionRecord


@dataclass(frozen=True)
class Submission:
    """A submission as it stands: its jobs, what was recorded with it, and what could not be done just now.

    ``duplicates`` are the other jobs at the service that were sent for these and whose results are not used.
    ``damaged`` names the rows of the ledger that belong to it and cannot be read; they are missing in ``jobs``.
    """

    id: str
    backend: str
    created: float
    jobs: tuple[JobRecord, ...]
    details: dict[str, Any]
    problems: tuple[str, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether any job still has to be sent, followed or fetched."""
        return any(job.state not in CLOSED for job in self.jobs)

    @property
    def complete(self) -> bool:
        """Whether every result is on disk."""
        return not self.damaged and all(job.state is JobState.SAVED for job in self.jobs)

    @property
    def qpu_seconds(self) -> float:
        """The QPU time that the jobs were charged, as far as it is known; without that of duplicates."""
        return sum(job.qpu_seconds or 0.0 for job in self.jobs)

    @property
    def duplicate_qpu_seconds(self) -> float:
        """The QPU time that duplicates were charged, as far as it is known."""
        return sum(duplicate.qpu_seconds or 0.0 for duplicate in self.duplicates)

    def to_json(self) -> dict[str, Any]:
        """Return a summary that fits into JSON."""
        jobs = [
            {
                "job": job.id,
                "state": str(job.state),
                "remote_id": job.remote_id,
                "tag": job.tag,
                "qpu_seconds": job.qpu_seconds,
                "estimated_seconds": job.estimated_seconds,
                "message": job.message,
            }
            for job in self.jobs
        ]
        duplicates = [
            {
                "job": duplicate.job,
                "remote_id": duplicate.remote_id,
                "state": duplicate.state,
                "qpu_seconds": duplicate.qpu_seconds,
            }
            for duplicate in self.duplicates
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
            "duplicates": duplicates,
            "qpu_seconds": self.qpu_seconds,
            "duplicate_qpu_seconds": self.duplicate_qpu_seconds,
            "metadata": self.details.get("metadata", {}),
            "problems": [*self.problems, *self.damaged],
        }


def show(
    ledger: Ledger, submission: str | None = None, damaged: list[DamagedRowError] | None = None
) -> list[Submission]:
    """Return one submission, or all, as recorded; asks nobody.

    A submission whose own row is damaged is added to ``damaged`` and left out; raises DamagedRowError without a list.
    """
    records = ledger.submissions(damaged) if submission is None else [ledger.submission(submission)]
    return [recorded(ledger, record) for record in records]


def recorded(ledger: Ledger, record: SubmissionRecord, problems: tuple[str, ...] = ()) -> Submission:
    """Return the present state of a submission on disk."""
    damaged: list[DamagedRowError] = []
    jobs, duplicates = tuple(ledger.jobs(record.id, damaged)), tuple(ledger.duplicates(record.id, damaged))
    lines = tuple(str(error) for error in damaged if str(error) not in problems)
    return Submission(
        record.id, record.backend, record.created, jobs, record.details, problems, duplicates, damaged=lines
    )
