"""Lets several processes work on one comparison: a job belongs to the process that holds the lock of its file.

The kernel frees the lock of a process that dies, however it dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from qlam_qiskit.compare.planning import Job
from qlam_qiskit.training import Interrupted
from qlam_qiskit.workspace import make_private_folder

_POLL_SECONDS = 0.5


@contextmanager
def claimed(job: Job, runs: Path, *, wait: bool, should_stop: Callable[[], bool]) -> Iterator[bool]:
    """Take a job for this process; yields whether it could, which with ``wait`` it can in the end.

    Raises Interrupted when ``should_stop`` says so while waiting.
    """
    folder = runs / "locks"
    make_private_folder(folder)
    lock = FileLock(folder / f"{job.name}-{job.fingerprint[:8]}")
    while not (mine := _acquired(lock)) and wait:
        if should_stop():
            raise Interrupted("interrupted")
        time.sleep(_POLL_SECONDS)
    try:
        yield mine
    finally:
        lock.release()


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
