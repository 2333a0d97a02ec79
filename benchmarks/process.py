"""The other end of a worker: starts its process, asks it, and stops it between turns so that nothing of it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.frameworks import FRAMEWORKS
from benchmarks.problem import Answer, Problem
from qlam_qiskit.errors import QlamError

ROOT = Path(__file__).parent.parent


class WorkerError(QlamError):
    """A framework failed; the message ends with what its process said last."""


class Worker:
    """One framework with one problem in a process of its own, to be used as a context manager."""

    def __init__(self, framework: str, problem: Problem) -> None:
        self.framework = framework
        self.problem = problem
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", framework],
            cwd=ROOT,
            env=os.environ | FRAMEWORKS[framework].environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._stopped = False
        try:
            self._ask("prepare", **problem.as_json())
        except BaseException:
            self.close()
            raise

    def answer(self) -> tuple[Answer, dict[str, Any]]:
        """Run the first pass; returns its numbers, and its seconds and memory_mb (peak beyond the prepared process)."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "answer.npz"
            measured = self._ask("answer", path=str(path))
            return Answer.load(path), measured

    def turn(self, passes: int) -> dict[str, Any]:
        """Run several passes; returns the seconds of one and the peak memory_mb."""
        return self._ask("turn", passes=passes)

    def close(self) -> None:
        """End the process."""
        self._resume()
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, action: str, **details: Any) -> dict[str, Any]:
        self._resume()
        try:
            self._process.stdin.write(json.dumps({"do": action, **details}) + "\n")
            self._process.stdin.flush()
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            raise WorkerError(f"{FRAMEWORKS[self.framework].title}: {self._last_words()}")
        # Idle threads of OpenMP or XLA may spin for a while, at the expense of whoever runs next.
        self._process.send_signal(signal.SIGSTOP)
        self._stopped = True
        return json.loads(reply)

    def _resume(self) -> None:
        if self._stopped:
            self._process.send_signal(signal.SIGCONT)
            self._stopped = False

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else f"its process ended with status {self._process.returncode}"
