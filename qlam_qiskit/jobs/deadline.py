"""Requests with a deadline of our own, since the service's client waits for ever for an answer that never comes."""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

from qlam_qiskit.jobs.faults import DeadlineError
from qlam_qiskit.redaction import redact, scrub

_log = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 10.0
ResultT = TypeVar("ResultT")


def call_with_deadline(
    work: Callable[[], ResultT], seconds: float, heartbeat: Callable[[], None] | None = None
) -> ResultT:
    """Run ``work`` in a thread and return its result or raise its error; DeadlineError after ``seconds``.

    ``heartbeat`` runs in the calling thread every 10 s meanwhile. A request that outlives its deadline is left behind
    in its daemon thread: whether it was carried out is for the caller to find out. Warnings that the client prints
    about the account or the device go to the log, without credentials.
    """
    answers: queue.SimpleQueue[tuple[ResultT | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:
            scrub(error)
            answers.put((None, error))

    ends = time.monotonic() + seconds
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threading.Thread(target=run, name="qlam-request", daemon=True).start()
        result, error = _await(answers, ends, seconds, heartbeat)
    for warning in caught:
        if not issubclass(warning.category, (DeprecationWarning, ResourceWarning)):
            _log.warning("%s", redact(warning.message))
    if error is not None:
        raise error
    return result


def _await(
    answers: queue.SimpleQueue, ends: float, seconds: float, heartbeat: Callable[[], None] | None
) -> tuple[ResultT | None, BaseException | None]:
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"no answer within {seconds:.0f} s")
        try:
            return answers.get(timeout=min(left, _HEARTBEAT_SECONDS))
        except queue.Empty:
            if heartbeat is not None:
                heartbeat()
