"""Times the exact engine against its peers: ``python -m benchmarks.peers``, from the root of a checkout.

Every case first checks loss and gradients of both sides against the float64 engine; then both take turns, each in a
process of its own. It writes a JSON file and beside it a plot. A framework that is not installed is skipped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks.frameworks import FRAMEWORKS
from benchmarks.machine import describe
from benchmarks.pairs import TOLERANCE, compare
from benchmarks.plot import case_of, draw, milliseconds, times
from benchmarks.problem import Problem
from qlam_qiskit.errors import QlamError
from qlam_qiskit.workspace import write_atomically

RESULTS = Path(__file__).parent / "results"
_SCAN = ("tensorcircuit", "tensorcircuit_tuned")
_CASES = (
    (Problem(4, 784, 64), _SCAN),
    (Problem(6, 784, 64), _SCAN),
    (Problem(8, 784, 64), _SCAN),
    (Problem(10, 784, 64), _SCAN),
    (Problem(8, 28, 64), (*_SCAN, "pennylane_torch", "pennylane_jax", "pennylane_lightning")),
    (Problem(8, 4, 4), ("qiskit_estimator", "qiskit_adjoint")),
    (Problem(3, 784, 64, damped=True), ("tensorcircuit_mixed",)),
    (Problem(4, 784, 64, damped=True), ("tensorcircuit_mixed",)),
    (Problem(3, 28, 64, damped=True), ("tensorcircuit_mixed", "pennylane_mixed")),
)
_NAMES = tuple(dict.fromkeys(peer for _, peers in _CASES for peer in peers))


def run(cases: list[tuple[Problem, str]], *, pairs: int, turn_s: float) -> dict[str, Any]:
    """Compare the engine with every installed peer of ``cases``; progress goes to stderr."""
    results, skipped = [], {}
    for problem, peer in cases:
        if missing := FRAMEWORKS[peer].missing():
            skipped[peer] = f"not installed: {', '.join(missing)}"
            click.echo(f"{FRAMEWORKS[peer].title}: skipped, {skipped[peer]}", err=True)
            continue
        result = compare(problem, peer, pairs=pairs, turn_s=turn_s)
        results.append(result)
        ours, theirs = (milliseconds(result[side]["pass_s"]["median"]) for side in ("ours", "theirs"))
        faster = times(result["times_as_fast"]["median"])
        click.echo(f"{case_of(result)}: {result['title']}: {theirs}, ours {ours}, {faster} times", err=True)
    settings = {"precision": "float32", "tolerance": TOLERANCE, "turn_s": turn_s, "seed": Problem(3, 1, 1).seed}
    return {"machine": describe(), "settings": settings, "skipped": skipped, "results": results}


def rounded(value: Any) -> Any:
    """Keep five significant digits of every number in what will be JSON."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


@click.command()
@click.option("--quick", is_flag=True, help="3 qubits, 3 steps, 4 samples: tries the script, measures nothing.")
@click.option("--peer", "peers", multiple=True, type=click.Choice(_NAMES), help="Only this one; may be repeated.")
@click.option("--qubits", multiple=True, type=int, help="Only cases of so many; may be repeated.")
@click.option("--steps", multiple=True, type=int, help="Only cases of so many; may be repeated.")
@click.option("--pairs", type=click.IntRange(1), default=9, show_default=True, help="Turns of each side.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file; the plot is put beside it.")
def main(
    quick: bool,
    peers: tuple[str, ...],
    qubits: tuple[int, ...],
    steps: tuple[int, ...],
    pairs: int,
    out: Path | None,
) -> None:
    """Time the exact engine against its peers.

    Example: python -m benchmarks.peers --peer tensorcircuit --qubits 6 --out /tmp/peers.json
    """
    if out is None:
        if quick or peers or qubits or steps:
            raise click.UsageError("a part of the benchmark needs --out: the committed results are of all of it")
        out = RESULTS / "peers.json"
    cases = [
        (problem, peer)
        for problem, all_peers in _CASES
        for peer in all_peers
        if (not peers or peer in peers)
        and (not qubits or problem.qubits in qubits)
        and (not steps or problem.steps in steps)
    ]
    if quick:
        cases = list(dict.fromkeys((Problem(3, 3, 4, damped=problem.damped), peer) for problem, peer in cases))
        pairs = 1
    try:
        found = run(cases, pairs=pairs, turn_s=0.0 if quick else 0.25)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, json.dumps(rounded(found), indent=1) + "\n")
        if found["results"]:
            draw(found, out.with_suffix(".png"))
    except QlamError as error:
        click.echo(f"{error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
