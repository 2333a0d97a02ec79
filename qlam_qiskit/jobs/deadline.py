"""Requests with a deadline of our own, since the service's client waits for ever for an answer that never comes."""

from __future__ import annotations

import logging
import queue
import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

from qlam_qiskit.jobs.faults import DeadlineError
from qlam_qiskit.redaction import redact, scrub

_log = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")


def call_with_deadline(work: Callable[[], ResultT], seconds: float) -> ResultT:
    """Run ``work`` in a thread and return its result or raise its error; DeadlineError after ``seconds``.

    A request that outlives its deadline is left behind in its daemon thread: whether it was carried out is for the
    caller to find out. Warnings that the client prints about the account or the device go to the log, without
    credentials.
    """
    # Loaded here: its compiled part, when a thread that has ended loaded it, may crash in the next one that uses it.
    import qiskit  # noqa: F401

    answers: queue.SimpleQueue[tuple[ResultT | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:
            scrub(error)
            answers.put((None, error))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        threading.Thread(target=run, name="qlam-request", daemon=True).start()
        try:
            result, error = answers.get(timeout=seconds)
        except queue.Empty:
            raise DeadlineError(f"no answer within {seconds:.0f} s") from None
    for warning in caught:
        if not issubclass(warning.category, (DeprecationWarning, ResourceWarning)):
            _log.warning("%s", redact(warning.message))
    if error is not None:
        raise error
    return result
