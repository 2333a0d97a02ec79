"""Faults that a test scripts in advance: which request they strike, when, and what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

ACTIONS = (
    "status",  # answer with an HTTP error; the request is not carried out
    "accept_status",  # carry the request out, then answer with an HTTP error all the same
    "reset",  # drop the connection; the request is not carried out
    "accept_reset",  # carry the request out, then drop the connection
    "late_accept",  # drop the connection, and carry the request out ``seconds`` later
    "empty",  # carry the request out, then answer 200 with an empty object
    "html",  # carry the request out, then answer 200 with a page of HTML
    "truncate",  # carry the request out, then cut the answer in half
    "slow",  # wait ``seconds``, then carry the request out
    "merge",  # carry the request out, then merge ``payload`` into the JSON answer
    "wrong",  # carry the request out, then alter the result: ``payload`` says ``{"how": ...}``, see wrong_results
    "another",  # carry the request out, then answer with the result of another job that has one
    "before",  # call ``callback``, then carry the request out
    "after",  # carry the request out, then call ``callback`` before answering
)


@dataclass
class Fault:
    """One scripted fault.

    ``route`` is a method and path without the prefix and with ids and names replaced, such as
    ``GET /jobs/{id}``; ``*`` is any. The first ``skip`` matching requests pass; the next ``times`` (None: all) are
    struck.
    """

    route: str
    action: str
    times: int | None = 1
    skip: int = 0
    status: int = 500
    seconds: float = 0.0
    payload: dict = field(default_factory=dict)
    callback: Callable[[], None] | None = None

    def __post_init__(self):
        if self.action not in ACTIONS:
            raise ValueError(f"unknown fault {self.action!r}; available: {', '.join(ACTIONS)}")


class FaultScript:
    """The faults still to come; safe to use from the server's threads."""

    def __init__(self):
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def strike(self, route: str) -> Fault | None:
        """Take the fault that is due for this request, if there is one."""
        with self._lock:
            for fault in self._faults:
                if fault.route not in (route, "*") or fault.times == 0:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
