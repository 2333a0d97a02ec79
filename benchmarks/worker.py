"""A process that runs one framework and does one thing at a time, as it is asked: lines of JSON in, lines of JSON out.

A framework alone in a process shares no threads with another, and its peak memory can be told.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.frameworks import FRAMEWORKS
from benchmarks.problem import Problem


class _Worker:
    def __init__(self, name: str, problem: Problem) -> None:
        self._run, self._read = FRAMEWORKS[name].prepare(problem)
        self._prepared_mb = _restart_peak()

    def answer(self, path: str) -> dict[str, Any]:
        """Run the first pass, in which frameworks compile, and write its numbers to a file."""
        result, measured = self._measure(1)
        self._read(result).save(Path(path))
        return measured

    def turn(self, passes: int) -> dict[str, Any]:
        """Run ``passes`` of them; seconds are those of one."""
        return self._measure(passes)[1]

    def _measure(self, passes: int) -> tuple[Any, dict[str, Any]]:
        _restart_peak()
        began = time.perf_counter()
        for _ in range(passes):
            result = self._run()
        seconds = (time.perf_counter() - began) / passes
        peak = _memory_mb("VmHWM")
        return result, {"seconds": seconds, "memory_mb": None if peak is None else peak - self._prepared_mb}


def _memory_mb(field: str) -> float | None:
    """Read what the kernel says of this process, in MB of 10^6 bytes; None where it says nothing."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{field}:"))


def _restart_peak() -> float | None:
    """Let the kernel measure this process's peak memory anew; returns what it holds now."""
    if (held := _memory_mb("VmRSS")) is not None:
        Path("/proc/self/clear_refs").write_text("5")
    return held


def main(name: str) -> None:
    """Answer requests until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print is no reply
    worker: _Worker | None = None
    for line in sys.stdin:
        request = json.loads(line)
        action = request.pop("do")
        reply: dict[str, Any] = {}
        if action == "prepare":
            worker = _Worker(name, Problem(**request))
        else:
            act: Callable[..., dict[str, Any]] = getattr(worker, action)
            reply = act(**request)
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
