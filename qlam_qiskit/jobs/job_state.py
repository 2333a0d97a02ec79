"""The life of one job, as the ledger records it: the states, and the only moves between them."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. What is on disk is always enough to go on from there in another process."""

    PLANNED = "planned"
    """Inputs and tag are on disk; the service knows nothing of it."""
    SENDING = "sending"
    """A request may be under way; if its process died, nobody knows whether it left."""
    UNKNOWN = "unknown"
    """It was sent and the answer was lost: only the service can tell, by the tag. It is looked for, and sent again
    only when a person says so, because a service may list a job long after it accepted it."""
    SENT = "sent"
    """The service accepted it; its id is known."""
    FINISHED = "finished"
    """The service has the result; it is not on disk yet."""
    SAVED = "saved"
    """The result is on disk."""
    REFUSED = "refused"
    """The service will not take it as it is; nothing ran."""
    FAILED = "failed"
    """The service could not run it, or no longer has its result."""
    CANCELLING = "cancelling"
    """Cancellation was asked for; the service has not confirmed it yet."""
    CANCELLED = "cancelled"
    """It will not run, or will not be fetched."""


MOVES: dict[JobState, tuple[JobState, ...]] = {
    JobState.PLANNED: (JobState.SENDING, JobState.REFUSED, JobState.CANCELLED),
    JobState.SENDING: (JobState.SENT, JobState.PLANNED, JobState.REFUSED, JobState.UNKNOWN),
    JobState.UNKNOWN: (JobState.SENT, JobState.SENDING, JobState.CANCELLED),  # SENDING: a person said so
    JobState.SENT: (JobState.FINISHED, JobState.FAILED, JobState.CANCELLING, JobState.CANCELLED),
    JobState.FINISHED: (JobState.SAVED, JobState.FAILED, JobState.CANCELLED),
    JobState.SAVED: (JobState.FINISHED,),  # the file was removed: fetch it again
    JobState.REFUSED: (JobState.PLANNED, JobState.SENT),  # SENT: the service has it all the same
    JobState.FAILED: (JobState.PLANNED, JobState.SENT),  # SENT: the service has its result after all
    JobState.CANCELLING: (JobState.CANCELLED, JobState.SENT),  # SENT: it finished first
    JobState.CANCELLED: (),
}

CLOSED = frozenset({JobState.SAVED, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED})
"""States in which nothing happens by itself any more."""
