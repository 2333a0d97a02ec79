"""What went wrong, what it means for the job, and what to tell the user: the service's faults, sorted.

The service's client reports one fault under several exception types and often only in the text (an HTTP code, a
service code), and some of its messages mislead. The table of faults is in the user's terms here: may the job have
been accepted all the same, is it worth trying again, and what has to be done.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from qlam_qiskit.errors import QlamError
from qlam_qiskit.redaction import redact


class Meaning(StrEnum):
    """What a fault means for the request that it struck."""

    UNSURE = "unsure"
    """The request may or may not have been carried out; worth trying again where that does no harm."""
    BUSY = "busy"
    """Turned away for a moment; not carried out."""
    NOT_NOW = "not now"
    """Turned away until something changes that takes its time; not carried out."""
    REFUSED = "refused"
    """Turned away for good; not carried out."""
    UNAUTHORIZED = "unauthorized"
    """The credentials were not accepted; not carried out, and nothing else will be."""
    MISSING = "missing"
    """What was asked for does not exist, or no longer."""
    DAMAGED = "damaged"
    """An answer came and cannot be read."""


@dataclass(frozen=True)
class Trouble:
    """One fault: its meaning, and one line without credentials that says what to do."""

    meaning: Meaning
    message: str


class DeadlineError(TimeoutError):
    """A request took longer than its deadline; it may still be carried out."""


class UncertainError(Exception):
    """A job was posted, and the answer says neither that it was accepted nor that it was refused."""


class DamagedResultError(ValueError):
    """A result arrived that is cut short, or not what was asked for."""


class WrongResultError(DamagedResultError):
    """A result arrived whole, and it is not what was asked for."""


class GoneError(QlamError):
    """A device, or a result, does not exist any more."""


class NotNowError(QlamError):
    """The service would accept the job and not run it; nothing was sent."""


class LoginError(QlamError):
    """The identity service did not give out an access token; ``rejected`` when it refused the key itself."""

    def __init__(self, message: str, *, rejected: bool) -> None:
        super().__init__(message)
        self.rejected = rejected


_HTTP_CODE = re.compile(r"\b([45]\d\d) (?:Client|Server) Error")
_TOO_MANY_PENDING = re.compile(r"(?<![\w-])3458(?![\w-])")
_URL = re.compile(r"for url: \S+")
_SAID = re.compile(r'"message":\s*"([^"]+)"')
_OUR_MISTAKES = frozenset({"IBMInputValueError", "RuntimeInvalidStateError"})
_ADVICE = {
    400: "the service does not accept the job as it is; correct the cause and run `qlam jobs resume`",
    403: "this account may not use the instance or device; choose another and run `qlam jobs resume`",
    404: "the service does not have what was asked for",
    409: "the service reports a conflict, such as a batch that was closed; run `qlam jobs resume`",
    413: "the job is too large for the service; submit again with a lower limits.payload_mb or fewer samples",
    429: "the service's rate limit is reached; it is tried again later, or run `qlam jobs resume`",
}


def explain(error: BaseException) -> Trouble:
    """Sort one exception of the service's client, of a local run, or of our own deadlines."""
    kind, code = type(error).__name__, http_code(error)
    said = redact(_service_words(error))
    if isinstance(error, UncertainError):
        return Trouble(Meaning.UNSURE, f"the service's answer was lost: {said}")
    if isinstance(error, DeadlineError):
        return Trouble(Meaning.UNSURE, f"no answer in time: {said}")
    if isinstance(error, LoginError):
        return Trouble(Meaning.UNAUTHORIZED if error.rejected else Meaning.UNSURE, str(error))
    if isinstance(error, NotNowError):
        return Trouble(Meaning.NOT_NOW, str(error))
    if isinstance(error, GoneError):
        return Trouble(Meaning.MISSING, str(error))
    if isinstance(error, WrongResultError):
        return Trouble(Meaning.DAMAGED, f"the result is not this job's: {said}")
    if isinstance(error, DamagedResultError) or kind == "JSONDecodeError":
        return Trouble(Meaning.DAMAGED, f"the service's answer is damaged: {said}")
    if _TOO_MANY_PENDING.search(_URL.sub("", str(error))):
        message = (
            "too many of this account's jobs are pending (error 3458); run `qlam jobs resume` when some have ended"
        )
        return Trouble(Meaning.NOT_NOW, message)
    if kind == "IBMNotAuthorizedError" or code == 401:
        advice = "renew QISKIT_IBM_TOKEN or the saved account, then run `qlam jobs resume`"
        return Trouble(Meaning.UNAUTHORIZED, f"IBM Quantum did not accept the credentials (401); {advice}")
    if kind in ("RuntimeJobNotFound", "RuntimeProgramNotFound") or code == 404:
        return Trouble(Meaning.MISSING, f"{_ADVICE[404]} ({said})" if kind != "RuntimeJobNotFound" else said)
    if code == 429:
        return Trouble(Meaning.BUSY, _ADVICE[429])
    if code is not None and 400 <= code < 500:
        return Trouble(Meaning.REFUSED, f"{_ADVICE.get(code, _ADVICE[400])} (HTTP {code}: {said})")
    if isinstance(error, QlamError):
        return Trouble(Meaning.REFUSED, said)
    if code is not None or _from_network(error):
        return Trouble(Meaning.UNSURE, f"the service cannot be reached or fails: {said}")
    return Trouble(Meaning.REFUSED, f"{kind}: {said}")


def http_code(error: BaseException) -> int | None:
    """Find the HTTP status behind an exception: on the exception itself, or in its text."""
    for candidate in (error, error.__cause__):
        code = getattr(candidate, "status_code", None)
        if isinstance(code, int) and code > 0:
            return code
    match = _HTTP_CODE.search(str(error))
    return int(match[1]) if match else None


def _from_network(error: BaseException) -> bool:
    """Whether an exception without an HTTP status comes from the network or the client's transport."""
    if isinstance(error, (OSError, Warning)) and not isinstance(error, sqlite3.Error):
        return True
    if isinstance(error, ValueError) or type(error).__name__ in _OUR_MISTAKES:
        return False
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(modules & {"qiskit_ibm_runtime", "requests", "urllib3", "ibm_cloud_sdk_core"})


def _service_words(error: BaseException) -> str:
    """Return what the service itself says in a message, else the message without the URL, which helps nobody."""
    text = _URL.sub("", str(error)).replace("\\'", "'").strip("'\". ")
    return "; ".join(_SAID.findall(text)) or text or type(error).__name__
