"""A limit on how long something may take to answer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def answered_within(seconds: int, said: str) -> Iterator[None]:
    """Raise AssertionError with ``said`` in what takes longer; only in the main thread, one at a time."""

    def late(*_: object) -> None:
        raise AssertionError(said)

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
