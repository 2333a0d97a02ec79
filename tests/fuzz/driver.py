"""Draws cases from a seed and hands them to worker processes, which are replaced when one dies or does not answer."""

from __future__ import annotations

import contextlib
import json
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase

from tests.fuzz import material
from tests.fuzz.case import Case
from tests.fuzz.reading import HANG, MEMORY, SECONDS, WAITING, Ending
from tests.fuzz.strategies import cases

_BLOCK = 100
_FIRST_SECONDS = 300  # a new worker imports and compiles
_ROOT = Path(__file__).parents[2]


def draw(seed: int, examples: int) -> Iterator[Case]:
    """Yield ``examples`` cases; case k of a seed is the same however many are drawn."""
    for forgetful in (False, True):
        material.run_files(forgetful=forgetful)  # made before hypothesis watches
    material.job_files()
    left, number = examples, 0
    while left > 0:
        block = _block(seed, number)[:left]
        yield from block
        left, number = left - len(block), number + 1


def _block(seed: int, number: int) -> list[Case]:
    found: list[Case] = []

    @hypothesis.seed(seed * 1_000_003 + number)
    @hypothesis.settings(
        max_examples=_BLOCK,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found[1:_BLOCK]  # the first is always the simplest one


@dataclass(frozen=True)
class Finished:
    """A case that has run."""

    number: int
    case: Case
    ending: Ending


def run_all(seed: int, examples: int, workers: int, hear: Callable[[Finished], None], only: int | None = None) -> None:
    """Run cases, or of them only the one with a number, in worker processes; ``hear`` is told of each."""
    waiting: queue.Queue[tuple[int, Case] | None] = queue.Queue(maxsize=4 * workers)
    done = threading.Lock()

    def serve() -> None:
        with _Worker() as worker:
            while (item := waiting.get()) is not None:
                ending = worker.run(item[1])
                with done:
                    hear(Finished(*item, ending))

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for number, case in enumerate(draw(seed, examples if only is None else only + 1)):
        if only in (None, number):
            waiting.put((number, case))
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()


class _Worker:
    """One worker process, started when there is work."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, case: Case) -> Ending:
        """Run a case; a process that dies or does not answer in time is replaced."""
        limit = WAITING * SECONDS + 10
        if self._process is None:
            command = [sys.executable, "-m", "tests.fuzz.worker"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(command, cwd=_ROOT, text=True, **pipes)
            limit += _FIRST_SECONDS
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(case.to_json() + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], limit)
            answer = process.stdout.readline() if ready else None
        except OSError:
            answer = ""
        if answer:
            return Ending(*json.loads(answer))
        self._stop()
        if answer is None:
            return Ending(HANG, f"no answer in {limit} s")
        return Ending(MEMORY, f"the process died with status {process.returncode}")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # what was not written any more
                    pipe.close()
            self._process.wait()
            self._process = None
