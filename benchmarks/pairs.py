"""Two frameworks side by side: their numbers checked first, then timed in turns."""

from __future__ import annotations

import statistics
from dataclasses import replace
from functools import cache
from typing import Any

from benchmarks.frameworks import FRAMEWORKS
from benchmarks.problem import Answer, Problem
from benchmarks.process import Worker
from qlam_qiskit.errors import QlamError

TOLERANCE = 1e-3  # of float32 against float64, relative; see Answer.errors
SLOW = 20.0  # seconds; a pass that takes longer is timed once


class Disagreement(QlamError):
    """A framework's numbers are not those of the float64 engine."""


@cache
def reference(problem: Problem) -> Answer:
    """Compute loss and gradients with the exact engine in float64.

    Its float32 kernels are compiled and cached before, so that no worker that is measured compiles them.
    """
    with Worker("ours", problem) as worker:
        worker.answer()
    with Worker("reference", problem) as worker:
        return worker.answer()[0]


def check(worker: Worker, exact: Answer) -> tuple[dict[str, float], dict[str, Any]]:
    """Run a worker's first pass; returns its errors and what was measured. Raises Disagreement."""
    answer, measured = worker.answer()
    errors = answer.errors(exact, worker.problem.arrays()[2])
    if not max(errors.values()) <= TOLERANCE:  # not a number is no agreement either
        shown = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        raise Disagreement(f"{FRAMEWORKS[worker.framework].title}: off by {shown}; allowed: {TOLERANCE:.0e}")
    return errors, measured


def compare(problem: Problem, peer: str, *, pairs: int, turn_s: float) -> dict[str, Any]:
    """Check the engine and ``peer`` against :func:`reference`, then let them take turns.

    A turn is as many passes as take ``turn_s``. Times are in seconds a pass of the whole batch; memory is the peak in
    MB of 10^6 bytes, beyond what the process held with everything imported and the inputs laid out.
    """
    part = replace(problem, samples=FRAMEWORKS[peer].samples)
    exact = (reference(problem), reference(part))
    with Worker("ours", problem) as ours, Worker(peer, part) as theirs:
        workers = (ours, theirs)
        sides = [_warm_up(worker, right, turn_s) for worker, right in zip(workers, exact, strict=True)]
        if sides[1]["warm_pass_s"] > SLOW:
            pairs = 1
        turns = []
        for number in range(pairs):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            taken = {which: workers[which].turn(sides[which]["passes_a_turn"]) for which in order}
            turns.append((taken[0], taken[1]))
    scaled_by = problem.rows / part.rows
    times = [[turn[which]["seconds"] * scale for turn in turns] for which, scale in enumerate((1.0, scaled_by))]
    for which, side in enumerate(sides):
        memory = [turn[which]["memory_mb"] for turn in turns]
        side |= {"pass_s": _spread(times[which]), "memory_mb": None if None in memory else max(memory)}
    return {
        "qubits": problem.qubits,
        "steps": problem.steps,
        "batch": problem.batch,
        "damped": problem.damped,
        "peer": peer,
        "title": FRAMEWORKS[peer].title,
        "pairs": pairs,
        "peer_scaled_by": scaled_by,
        "times_as_fast": _spread([theirs / ours for ours, theirs in zip(*times, strict=True)]),
        "ours": sides[0],
        "theirs": sides[1],
    }


def _warm_up(worker: Worker, exact: Answer, turn_s: float) -> dict[str, Any]:
    """Check a worker's numbers, and find how many passes make a turn."""
    errors, first = check(worker, exact)
    warm = worker.turn(1)["seconds"]
    return {
        "samples": worker.problem.rows,
        "errors": errors,
        "first_pass_s": first["seconds"],
        "first_pass_memory_mb": first["memory_mb"],
        "warm_pass_s": warm,
        "passes_a_turn": max(1, round(turn_s / warm)),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
