"""The rows of the ledger as frozen objects, and the tags by which the service knows our jobs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from qlam_qiskit.jobs.job_state import JobState


@dataclass(frozen=True)
class SubmissionRecord:
    """One submission: ``created`` in seconds since 1970, ``details`` is what its maker wants back later."""

    id: str
    created: float
    backend: str
    session: str | None
    details: dict[str, Any]


@dataclass(frozen=True)
class JobRecord:
    """One job of a submission; ``remote_id`` is the service's id once known; ``message`` explains its state."""

    id: str
    submission: str
    number: int
    tag: str
    state: JobState
    remote_id: str | None
    message: str | None
    qpu_seconds: float | None
    updated: float


def submission_tag(submission: str) -> str:
    """Return the tag that all jobs of a submission carry beside their own."""
    return f"qlam-{submission}"


def new_job_tag(submission: str, number: int) -> str:
    """Make a tag that no other job has or will have."""
    return f"{submission_tag(submission)}-{number}-{secrets.token_hex(6)}"
