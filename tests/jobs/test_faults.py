"""Sorting of faults that cannot be provoked over HTTP, and calls with a deadline."""

import logging
import threading
import time
import warnings

import pytest

from qlam_qiskit.jobs.deadline import call_with_deadline
from qlam_qiskit.jobs.faults import DeadlineError, Meaning, explain
from qlam_qiskit.jobs.policy import Policy


def test_a_connection_that_cannot_be_made_is_an_outage():
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError

    refused = RequestsApiError("HTTPConnectionPool: Max retries exceeded (Failed to establish a new connection)")
    assert explain(refused).meaning is Meaning.UNSURE
    assert explain(TimeoutError("slow")).meaning is Meaning.UNSURE


def test_numbers_inside_ids_are_not_error_codes():
    from qiskit_ibm_runtime.exceptions import IBMRuntimeError

    assert explain(IBMRuntimeError("job d3458 has 403458 trouble")).meaning is Meaning.UNSURE
    assert explain(IBMRuntimeError("Error code: 3458.")).meaning is Meaning.NOT_NOW


@pytest.mark.parametrize("error", [ValueError("wrong options"), TypeError("no such option")])
def test_our_own_mistakes_are_refusals_and_not_repeated(error):
    trouble = explain(error)
    assert trouble.meaning is Meaning.REFUSED and type(error).__name__ in trouble.message


def test_an_answer_in_time_is_returned_and_an_error_raised():
    assert call_with_deadline(lambda: 42, 5) == 42
    with pytest.raises(KeyError):
        call_with_deadline(lambda: {}["missing"], 5)


def test_a_call_without_answer_ends_at_its_deadline():
    release = threading.Event()
    started = time.monotonic()
    with pytest.raises(DeadlineError, match="no answer within 0 s"):
        call_with_deadline(release.wait, 0.1)
    assert time.monotonic() - started < 2
    release.set()


def test_the_clients_warnings_go_to_the_log_without_credentials(caplog):
    caplog.set_level(logging.WARNING)
    call_with_deadline(lambda: warnings.warn("apikey abcdefghijklmnop is refused", stacklevel=1), 5)
    assert "apikey [redacted] is refused" in caplog.text


def test_pauses_grow_to_their_limit():
    policy = Policy()
    pauses = [policy.pause(attempt) for attempt in range(8)]
    assert pauses == sorted(pauses) and pauses[0] == 2 and pauses[-1] == 60
