"""The rows of the ledger as frozen objects that check what they hold, and the tags by which the service knows our jobs.

The annotations say what a cell may hold; :mod:`qlam_qiskit.jobs.rows` makes records of the rows that are read.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from qlam_qiskit.jobs.job_state import JobState
from qlam_qiskit.redaction import hide

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_LAST_SECOND = 32_503_680_000  # of the year 2999, seconds since 1970

Time: TypeAlias = Annotated[float, Field(ge=0, le=_LAST_SECOND)]
"""Seconds since 1970."""
Seconds: TypeAlias = Annotated[float, Field(ge=0)]
"""Seconds of QPU time."""
FolderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
"""An id that also names a folder."""
_REMOTE_ID = r"^[^\s/\\?#\x00-\x1f\x7f]{1,300}$"
RemoteId: TypeAlias = Annotated[str, Field(pattern=_REMOTE_ID)]
"""A job's id at the service: something that can stand in an address."""


def _text(cell: Any) -> Any:
    if not isinstance(cell, str):
        raise ValueError("Input should be a valid string")
    return cell


State: TypeAlias = Annotated[JobState, Field(strict=False), BeforeValidator(_text)]

_WITH_REMOTE_ID = (JobState.SENT, JobState.FINISHED, JobState.CANCELLING)


@dataclass(frozen=True, config=_STRICT)
class SubmissionRecord:
    """One submission: ``created`` in seconds since 1970, ``details`` is what its maker wants back later."""

    id: FolderName
    created: Time
    backend: str
    session: str | None
    details: dict[str, Any]


@dataclass(frozen=True, config=_STRICT)
class JobRecord:
    """One job of a submission.

    ``remote_id`` is the service's id once known; ``message`` explains the state. ``qpu_seconds`` is what the service
    charged, ``estimated_seconds`` what sending was expected to cost. ``doubtful`` is when it was last sent without a
    clear answer, so that the service may have it, or have it twice (seconds since 1970); None when that never happened.
    """

    id: str
    submission: FolderName
    number: Annotated[int, Field(ge=0, lt=1_000_000)]
    tag: Annotated[str, Field(pattern=r"^qlam-[A-Za-z0-9._-]+$", max_length=300)]
    state: State
    remote_id: RemoteId | None
    message: str | None
    qpu_seconds: Seconds | None
    updated: Time
    estimated_seconds: Seconds | None = None
    doubtful: Time | None = None

    @model_validator(mode="after")
    def _cells_agree(self) -> Self:
        if self.id != f"{self.submission}/{self.number}":
            raise ValueError(f"id: does not agree with submission {self.submission} and number {self.number}")
        if self.remote_id is None and self.state in _WITH_REMOTE_ID:
            raise ValueError(f"remote_id: is missing, though the state is {self.state}")
        if self.doubtful is None and self.state is JobState.UNKNOWN:
            raise ValueError(f"doubtful: is missing, though the state is {self.state}")
        return self


@dataclass(frozen=True, config=_STRICT)
class Duplicate:
    """Another job at the service that was sent for one of ours, and whose result is not used.

    ``state`` is how it stood when it was last asked about: pending, done, failed or cancelled. ``qpu_seconds`` is what
    it was charged; None while that is not known.
    """

    remote_id: RemoteId
    job: str
    state: Annotated[str, Field(pattern=r"^(pending|done|failed|cancelled)$")]
    qpu_seconds: Seconds | None
    found: Time


@dataclass(frozen=True, config=_STRICT)
class Event:
    """One entry of a job's history; ``source`` and ``target`` are equal for a note."""

    at: Time
    job: str
    source: State | None
    target: State
    note: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON-able values."""
        return {"at": self.at, "job": self.job, "source": self.source, "target": str(self.target), "note": self.note}


def is_remote_id(text: str) -> bool:
    """Whether an id from the service can be kept, and can stand in an address: it is none of our credentials."""
    return re.fullmatch(_REMOTE_ID, text) is not None and hide(text) == text


def submission_tag(submission: str) -> str:
    """Return the tag that all jobs of a submission carry beside their own."""
    return f"qlam-{submission}"


def new_job_tag(submission: str, number: int) -> str:
    """Make a tag that no other job has or will have."""
    return f"{submission_tag(submission)}-{number}-{secrets.token_hex(6)}"
