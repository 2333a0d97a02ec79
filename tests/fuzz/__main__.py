"""``python -m tests.fuzz --examples N``: run N cases and count how they end; exit status 1 when one ends badly."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.driver import Finished, run_all
from tests.fuzz.reading import ACCEPTED, OUTCOMES, REFUSED


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="cases to run; default: 1000")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument("--seed", type=int, help="draws the same cases again")
    parser.add_argument("--case", type=int, help="run this case of the seed alone, and show what it says")
    parser.add_argument("--log", type=Path, help="write every bad case to this file, one JSON line each")
    chosen = parser.parse_args()
    seed = secrets.randbelow(2**32) if chosen.seed is None else chosen.seed
    counts: Counter[tuple[str, str]] = Counter()
    began, bad = time.monotonic(), []

    def hear(finished: Finished) -> None:
        outcome, said = finished.ending.outcome, finished.ending.said
        counts[finished.case.kind, outcome] += 1
        if outcome not in (ACCEPTED, REFUSED):
            bad.append(finished)
            last = said.strip().splitlines()[-1][:200] if said.strip() else ""
            print(f"{outcome}: --seed {seed} --case {finished.number} ({finished.case.kind}): {last}", flush=True)
            if chosen.log:
                with chosen.log.open("a") as file:
                    file.write(finished.case.to_json() + "\n")
        if chosen.case is not None:
            print(finished.case.arguments, finished.case.cells, outcome, said, sep="\n")

    run_all(seed, chosen.examples, chosen.workers, hear, chosen.case)
    kinds = sorted({kind for kind, _ in counts})
    print(f"{'':<12}{''.join(f'{outcome:>11}' for outcome in OUTCOMES)}")
    for kind in kinds:
        print(f"{kind:<12}{''.join(f'{counts[kind, outcome]:>11,}' for outcome in OUTCOMES)}")
    totals = [sum(counts[kind, outcome] for kind in kinds) for outcome in OUTCOMES]
    print(f"{'all':<12}{''.join(f'{total:>11,}' for total in totals)}")
    print(f"{sum(totals):,} cases of seed {seed} in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
