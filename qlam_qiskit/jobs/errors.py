"""Errors of the job layer; every message says in one line what to do next."""

from qlam_qiskit.errors import QlamError


class JobError(QlamError):
    """Jobs could not be sent, followed or fetched; what was recorded stays in the ledger."""


class LedgerError(QlamError):
    """The ledger cannot be read or written: locked, full, damaged, or of another version."""


class DamagedRowError(LedgerError):
    """A row of the ledger holds what it cannot hold; ``identifier`` is the row's own id, where that can be read."""

    def __init__(self, message: str, identifier: str | None) -> None:
        super().__init__(message)
        self.identifier = identifier


class LeaseLostError(JobError):
    """A job is no longer ours to move, or no longer in the state that we saw."""
