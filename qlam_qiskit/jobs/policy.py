"""When to act: the service's rate limit, back-off, deadlines, and a clock that tests can replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Where the time comes from and how to wait, in seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Policy:
    """How patient to be with the service; seconds, and counts of attempts.

    ``posts_per_minute`` is the service's documented limit for one user. ``lookup_seconds`` is how long a command looks
    for a job that the service may have accepted, counted from when it was sent; later commands go on looking.
    ``post_seconds`` is more than the client's own limit of 900 s, so that no request is still under way when its fate
    is looked up.
    """

    posts_per_minute: int = 5
    request_seconds: float = 90.0
    post_seconds: float = 960.0
    result_seconds: float = 900.0
    local_seconds: float = 7 * 86_400.0
    lookup_seconds: float = 600.0
    attempts: int = 6
    first_pause: float = 2.0
    longest_pause: float = 60.0

    def pause(self, attempt: int) -> float:
        """Return the pause after the given failed attempt (0, 1, ...): doubling up to the longest."""
        return min(self.first_pause * 2.0**attempt, self.longest_pause)
