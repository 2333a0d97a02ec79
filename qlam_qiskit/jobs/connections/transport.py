"""Adjustments to the connection of the service's client, which its public interface does not offer.

The client repeats ``POST /jobs`` after a server error, and a 504 that was sent after the job had been accepted then
makes two jobs. It keeps an access token that the service no longer accepts. And it asks for the list of jobs without
end when the service miscounts it. All are reached through attributes that may move between releases: where one is
missing the adjustment is skipped, and the ledger's search by tag still finds and cancels a second job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from requests import Response
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from qlam_qiskit.jobs.faults import LoginError, http_code
from qlam_qiskit.redaction import redact, remember_secret, scrub

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

_SERVER_ERRORS = (500, 502, 503, 504, 520, 521, 522, 524)
_READ_SECONDS = 120.0
_MOST_REPEATED = 20  # times that a list may be longer than the service counts


class _JobsAdapter(HTTPAdapter):
    """Repeats requests that change nothing, never a POST; and does not wait for ever for a byte."""

    def __init__(self) -> None:
        super().__init__(max_retries=Retry(total=5, connect=3, backoff_factor=0.5, status_forcelist=_SERVER_ERRORS))
        self.posts = 0

    def send(self, request: Any, stream: bool = False, timeout: Any = None, **options: Any) -> Any:
        if timeout is None:
            timeout = _READ_SECONDS
        elif isinstance(timeout, tuple) and timeout[1] is None:
            timeout = (timeout[0], _READ_SECONDS)
        self.posts += request.method == "POST"
        answer = super().send(request, stream=stream, timeout=timeout, **options)
        if request.method == "GET":
            _let_the_list_end(request.url or "", answer)
        return answer


def _let_the_list_end(url: str, answer: Response) -> None:
    """Have a page of the list of jobs say a count at which the client stops.

    The client asks for page after page until it has exactly as many jobs as the service counts, for ever where the list
    repeats some or grows meanwhile. A page that is not full is the last.
    """
    parts = urlsplit(url)
    if not parts.path.endswith("/jobs") or answer.status_code != 200:
        return
    try:
        query, body = parse_qs(parts.query), answer.json()
        page, count = body["jobs"], body["count"]
        limit, known = int(query["limit"][0]), int(query.get("offset", ["0"])[0]) + len(page)
        if len(page) < limit or known > _MOST_REPEATED * max(count, limit):
            body["count"] = known
        elif count < known:
            body["count"] = known + 1
    except (ValueError, KeyError, TypeError):
        return  # no list: the client says so
    answer._content = json.dumps(body).encode()  # the only way to give an answer another content


def never_post_twice(service: QiskitRuntimeService) -> None:
    """Have the client leave a failed ``POST /jobs`` alone, and remember its credentials in order to hide them."""
    account = service.active_account() or {}
    remember_secret(account.get("token"))
    for session in _sessions(service):
        prefix = f"{session.base_url}/jobs"
        if not isinstance(session.get_adapter(prefix), _JobsAdapter):
            session.mount(prefix, _JobsAdapter())


def posts_made(service: QiskitRuntimeService) -> int | None:
    """Count the POSTs about jobs that left this process so far; None where that cannot be known."""
    adapters = [session.get_adapter(f"{session.base_url}/jobs") for session in _sessions(service)]
    if not adapters or not all(isinstance(adapter, _JobsAdapter) for adapter in adapters):
        return None
    return sum(adapter.posts for adapter in adapters)


def log_in(service: QiskitRuntimeService, *, again: bool = False) -> None:
    """Make sure that every connection has an access token; a new one with ``again``.

    Raises LoginError, which says whether the identity service refused the key or could not be reached. The client
    itself would warn, send the key in place of the token, and wait for a minute before the next try.
    """
    for session in _sessions(service):
        manager = getattr(session.auth, "tm", None)
        if manager is None:
            continue
        if again:
            manager.expire_time = 0
        manager.request_time = 0
        try:
            remember_secret(manager.get_token())
        except Exception as error:
            scrub(error)
            code = http_code(error) or getattr(error, "code", None)
            if isinstance(code, int) and 400 <= code < 500:
                advice = "renew QISKIT_IBM_TOKEN or the saved account, then run `qlam jobs resume`"
                raise LoginError(f"IBM Cloud refused the API key; {advice}", rejected=True) from None
            message = f"IBM Cloud's identity service cannot be reached; try again later ({redact(error)})"
            raise LoginError(message, rejected=False) from None


def _sessions(service: QiskitRuntimeService) -> Iterator[Any]:
    clients = [getattr(service, "_active_api_client", None), *getattr(service, "_api_clients", {}).values()]
    for client in {id(client): client for client in clients}.values():
        session = getattr(client, "_session", None)
        if session is not None and hasattr(session, "base_url"):
            yield session
