"""The other end of a job: what the job layer asks of a backend, be it here or at a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult

    from qlam_qiskit.jobs.records import JobRecord
    from qlam_qiskit.planning import Pub


class RemoteState(StrEnum):
    """How a job is doing at the other end."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class RemoteStatus:
    """The state of a job at the other end, and its own words for it."""

    state: RemoteState
    words: str


@dataclass(frozen=True)
class RemoteJob:
    """A job that the other end knows, with the tags it was sent with."""

    id: str
    tags: tuple[str, ...]


class Connection(Protocol):
    """What a backend must be able to do; each call may raise what :func:`~.outcomes.explain` understands.

    ``remembers`` tells whether a job outlives the process that sent it; ``posts_once`` whether :meth:`post` is sure to
    make one request, so that a clear answer to it means one job.
    """

    remembers: bool
    posts_once: bool

    def open_session(self, known: str | None) -> str | None:
        """Get ready to send; return the batch or session to send in: the known one, a new one, or None for neither."""

    def close_session(self) -> None:
        """Let the batch or session take no more jobs; those that were sent still run."""

    def make_ready(self, pubs: Sequence[Pub]) -> None:
        """Make sure that a job can be sent, as far as can be known; whatever this raises, nothing was sent."""

    def post(self, job: JobRecord, pubs: Sequence[Pub]) -> str:
        """Send a job with its tags and return its id at the other end.

        Raises UncertainError when the job may have been accepted; after any other error it was not.
        """

    def find(self, submission: str) -> list[RemoteJob]:
        """List every job with the tag of a submission, oldest first."""

    def status(self, remote_id: str) -> RemoteStatus:
        """Ask how a job is doing."""

    def result(self, remote_id: str) -> PrimitiveResult:
        """Download the result of a job that is done."""

    def qpu_seconds(self, remote_id: str) -> float | None:
        """Return the QPU time that was charged, in seconds, if it is known."""

    def cancel(self, remote_id: str) -> bool:
        """Cancel a job; False when it was in a final state already."""

    def log_in_again(self) -> None:
        """Replace credentials that expired; raises LoginError when that is not possible."""
