"""The connection to IBM Quantum, through the real client and only its documented calls."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qlam_qiskit.backends import IBMSpec, connect, find_device, runtime_primitive
from qlam_qiskit.errors import BackendError
from qlam_qiskit.jobs.connections.base import RemoteJob, RemoteState, RemoteStatus
from qlam_qiskit.jobs.connections.decoding import decoded_result
from qlam_qiskit.jobs.connections.transport import log_in, never_post_twice, posts_made
from qlam_qiskit.jobs.faults import (
    DamagedResultError,
    GoneError,
    LoginError,
    NotNowError,
    UncertainError,
    WrongResultError,
    http_code,
)
from qlam_qiskit.jobs.job_identity import mark_pubs
from qlam_qiskit.jobs.records import JobRecord, is_remote_id, submission_tag
from qlam_qiskit.planning import Pub, check_isa
from qlam_qiskit.redaction import hide, redact

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit_ibm_runtime import Batch, IBMBackend, QiskitRuntimeService, RuntimeJobV2, Session

_NO_REFUSALS = (408, 425, 444, 449, 460, 499)  # said of a request whose fate the speaker does not know
_TOO_LONG = re.compile(r"RAN TOO LONG|1305|maximum execution time", re.IGNORECASE)


class ServiceConnection:
    """Sends jobs to one device of IBM Quantum and follows them; logs in at the first request that needs it.

    Fetching needs only the service: a device that was retired meanwhile does no harm.
    """

    remembers = True

    def __init__(self, spec: IBMSpec, device: str, instance: str | None, backend: IBMBackend | None = None) -> None:
        self._spec = spec
        self._device = device
        self._instance = instance
        self._opened: Batch | Session | None = None
        self._jobs: dict[str, RuntimeJobV2] = {}
        if backend is not None:
            self.__dict__["_backend"] = backend
            self.__dict__["_service"] = backend.service
            never_post_twice(backend.service)

    def open_session(self, known: str | None) -> str | None:
        """Go on in the known batch or session while it takes jobs, else open one if the entry asks for it."""
        device = self._backend
        if self._spec.mode == "job":
            return None
        if self._opened is None and known is not None:
            self._opened = self._from_id(known)
        # One that has been idle for a while is closed by the service.
        details = (self._opened.details() or {}) if self._opened is not None else {}
        if not details.get("accepting_jobs") or details.get("state") == "closed":
            self._opened = self._mode_class(backend=device)
        session = self._opened.session_id
        if not is_remote_id(str(session)):
            self._opened = None
            raise BackendError(f"the service names the {self._spec.mode} {ascii(hide(str(session)))[:40]}")
        return session

    def close_session(self) -> None:
        """Close the batch or session that this connection sent in."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def posts_once(self) -> bool:
        """Whether the client is kept from repeating a POST."""
        return posts_made(self._service) is not None

    def make_ready(self, pubs: Sequence[Pub]) -> None:
        """Make sure that the allowance is not spent and the circuits fit the device."""
        never_post_twice(self._service)
        check_isa(pubs, self._backend.target, self._device)
        usage = self._service.usage()
        if usage.get("usage_limit_reached"):
            used, limit = usage.get("usage_consumed_seconds"), usage.get("usage_limit_seconds")
            raise NotNowError(
                f"the instance's allowance is spent ({used} of {limit} s); nothing was sent: "
                "run `qlam jobs resume` when there is QPU time again"
            )

    def post(self, job: JobRecord, pubs: Sequence[Pub]) -> str:
        """Send one job; raises UncertainError unless the service said that it refused it or nothing left for it."""
        kind = "sampler" if hasattr(pubs[0], "shots") else "estimator"
        tags = [submission_tag(job.submission), job.tag]
        primitive = runtime_primitive(self._spec, kind, self._opened or self._backend, tags=tags)
        before = posts_made(self._service)
        try:
            sent = primitive.run(mark_pubs(pubs, job.tag))
        except Exception as error:
            code = http_code(error)
            refused = code is not None and 400 <= code < 500 and code not in _NO_REFUSALS
            if refused or (before is not None and posts_made(self._service) == before):
                raise
            raise UncertainError(f"{type(error).__name__}: {error}") from None
        remote_id = sent.job_id()
        if not isinstance(remote_id, str) or not is_remote_id(remote_id):
            raise UncertainError(f"the service names the job {ascii(hide(str(remote_id)))[:40]}")
        self._jobs[remote_id] = sent
        return remote_id

    def find(self, submission: str) -> list[RemoteJob]:
        """List the jobs of a submission by its tag, oldest first, each once however often the service names it."""
        with _readable("the list of jobs cannot be read"):
            jobs = self._service.jobs(
                limit=None, job_tags=[submission_tag(submission)], instance=self._instance, descending=False
            )
        found = {job.job_id(): RemoteJob(job.job_id(), tuple(job.tags or ())) for job in jobs}
        return [job for remote_id, job in found.items() if isinstance(remote_id, str) and is_remote_id(remote_id)]

    def status(self, remote_id: str) -> RemoteStatus:
        """Ask for the status; texts that the client does not know are sorted here, lest they be polled for ever."""
        job = self._job(remote_id)
        with _readable("the status cannot be read"):
            words = str(job.status())
        text = words.upper()
        if text == "DONE":
            return RemoteStatus(RemoteState.DONE, words)
        if _TOO_LONG.search(text):
            return RemoteStatus(RemoteState.FAILED, _ran_too_long(words))
        if text.startswith("CANCEL"):
            return RemoteStatus(RemoteState.CANCELLED, words)
        if text.startswith(("ERROR", "FAIL")):
            reason = redact(job.error_message() or "the service gives no reason")
            return RemoteStatus(RemoteState.FAILED, _ran_too_long(reason) if _TOO_LONG.search(reason) else reason)
        return RemoteStatus(RemoteState.PENDING, words.lower())

    def result(self, remote_id: str) -> PrimitiveResult:
        """Download and decode; raises DamagedResultError when the answer cannot be decoded."""
        with _readable("the result cannot be decoded"):
            return decoded_result(self._job(remote_id))

    def qpu_seconds(self, remote_id: str) -> float | None:
        """Return the seconds that the job was charged; None also for what is no number of seconds."""
        job = self._job(remote_id)
        with _readable("the charge cannot be read"):
            usage = job.metrics().get("usage", {})
            seconds = usage.get("qpu_charge_time_seconds")
            if seconds is None or usage.get("status") == "pending":
                return None
            charged = float(seconds)
        return charged if 0 <= charged < math.inf else None

    def cancel(self, remote_id: str) -> bool:
        """Cancel; False when the job had ended before."""
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

        try:
            self._job(remote_id).cancel()
        except RuntimeInvalidStateError:
            return False
        finally:
            self._jobs.pop(remote_id, None)
        return True

    def log_in_again(self) -> None:
        """Get a new access token in place of the refused one."""
        log_in(self._service, again=True)

    def _job(self, remote_id: str) -> RuntimeJobV2:
        if remote_id not in self._jobs:
            with _readable("the job cannot be read"):
                found = self._service.job(remote_id)
            if found.job_id() != remote_id:
                raise WrongResultError(f"the service was asked for job {remote_id} and answered for {found.job_id()}")
            self._jobs[remote_id] = found
        return self._jobs[remote_id]

    def _from_id(self, known: str) -> Batch | Session:
        return self._mode_class.from_id(known, self._service, use_fractional_gates=self._spec.fractional_gates)

    @property
    def _mode_class(self) -> Any:
        from qiskit_ibm_runtime import Batch, Session

        return Batch if self._spec.mode == "batch" else Session

    @cached_property
    def _service(self) -> QiskitRuntimeService:
        try:
            service = connect(self._spec)
        except BackendError as error:
            if str(error).startswith(("credentials: ", "instance: ")):
                raise LoginError(str(error), rejected=True) from None
            hint = "if the token is right, IBM Cloud's identity service may be down: try again later"
            raise LoginError(f"{error}; {hint}", rejected=True) from None
        never_post_twice(service)
        log_in(service)
        return service

    @cached_property
    def _backend(self) -> IBMBackend:
        try:
            return find_device(self._device, service=self._service, fractional_gates=self._spec.fractional_gates)
        except BackendError:
            # The client takes an outage for a device that does not exist; this request tells the two apart.
            self._service.usage()
            raise GoneError(
                f"{self._device} is not offered to this instance any more; submit again to another device"
            ) from None


def _ran_too_long(words: str) -> str:
    return f"it ran longer than max_execution_time and was stopped; raise it or send less at once ({words})"


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn what the client raises for an answer that it cannot read into a DamagedResultError."""
    try:
        yield
    except DamagedResultError:
        raise
    except (TypeError, KeyError, ValueError, IndexError, AttributeError, zlib.error, EOFError) as error:
        raise DamagedResultError(f"{what} ({type(error).__name__})") from None
