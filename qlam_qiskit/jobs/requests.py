"""Requests to the other end, repeated with patience: deadlines, back-off, renewed logins, and the rate limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from qlam_qiskit.jobs.connections.base import Connection
from qlam_qiskit.jobs.deadline import call_with_deadline
from qlam_qiskit.jobs.errors import LeaseLostError, LedgerError
from qlam_qiskit.jobs.faults import Meaning, Trouble, explain
from qlam_qiskit.jobs.ledger import Ledger
from qlam_qiskit.jobs.policy import Clock, Policy
from qlam_qiskit.jobs.records import JobRecord

ResultT = TypeVar("ResultT")
_POINTLESS = (Meaning.REFUSED, Meaning.MISSING, Meaning.NOT_NOW)


class GivenUpError(Exception):
    """A request failed as often as the policy allows, or in a way that trying again does not help."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


@dataclass
class Requests:
    """Makes requests over one connection; the lease of a job that is waited for is kept alive meanwhile."""

    ledger: Ledger
    connection: Connection
    policy: Policy
    clock: Clock
    report: Callable[[str], None]
    _renewed: bool = field(default=False, init=False)

    def once(self, request: Callable[[], ResultT], seconds: float, job: JobRecord | None = None) -> ResultT:
        """Make a request a single time, within a deadline; raises whatever it raises."""
        heartbeat = None if job is None else lambda: self.ledger.renew(job.id)
        answer = call_with_deadline(request, seconds, heartbeat)
        self._renewed = False
        return answer

    def attempt(
        self, request: Callable[[], ResultT], job: JobRecord | None = None, *, seconds: float | None = None
    ) -> ResultT:
        """Make a request that does no harm when repeated, as often as the policy allows; raises GivenUpError."""
        said = None
        for attempt in range(self.policy.attempts):
            try:
                return self.once(request, seconds or self.policy.request_seconds, job)
            except (LedgerError, LeaseLostError):
                raise  # from the heartbeat
            except Exception as error:
                trouble = explain(error)
            if trouble.meaning in _POINTLESS:
                break
            if trouble.meaning is Meaning.UNAUTHORIZED:
                self.renew_login(trouble)
            if attempt + 1 < self.policy.attempts:
                if trouble.message != said:
                    self.report(trouble.message)
                said = trouble.message
                self.pause(self.policy.pause(attempt), job)
        raise GivenUpError(trouble)

    def only(
        self, request: Callable[[], ResultT], job: JobRecord | None = None, *, seconds: float | None = None
    ) -> ResultT:
        """Make a request whose answer would be the same another time; raises GivenUpError."""
        try:
            return self.once(request, seconds or self.policy.request_seconds, job)
        except (LedgerError, LeaseLostError):
            raise  # from the heartbeat
        except Exception as error:
            raise GivenUpError(explain(error)) from None

    def renew_login(self, trouble: Trouble) -> None:
        """Replace an access token that was refused; raises GivenUpError when the new one was refused too."""
        if self._renewed:
            raise GivenUpError(trouble)
        try:
            call_with_deadline(self.connection.log_in_again, self.policy.request_seconds)
        except Exception as error:
            raise GivenUpError(explain(error)) from None
        self._renewed = True

    def wait_for_slot(self, job: JobRecord) -> None:
        """Wait until the service's rate limit allows one more POST, counted over all processes of the ledger."""
        while (seconds := self.ledger.take_post_slot(self.policy.posts_per_minute)) > 0:
            self.report(f"job {job.id} waits {seconds:.0f} s for the service's rate limit")
            self.pause(seconds, job)

    def pause(self, seconds: float, job: JobRecord | None = None) -> None:
        """Wait."""
        while seconds > 0:
            if job is not None:
                self.ledger.renew(job.id)
            step = min(seconds, self.ledger.lease_seconds / 3)
            self.clock.sleep(step)
            seconds -= step
