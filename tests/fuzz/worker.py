"""A process that runs cases, one JSON line in and one out, until its input ends: ``python -m tests.fuzz.worker``."""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings

from qlam_qiskit import machine_memory
from tests.fuzz import material
from tests.fuzz.case import Case
from tests.fuzz.reading import run_case

# The machine that the cases believe in, and how much more address space than at its start a worker may take.
_BELIEVED_MEMORY = 2**28
_ADDRESS_SPACE = 4 * 2**30


def main() -> None:
    """Serve cases."""
    warnings.simplefilter("ignore")
    machine_memory.machine_memory = lambda: _BELIEVED_MEMORY
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    import torch

    torch.set_num_threads(1)
    _warm_up()
    with open("/proc/self/statm") as file:  # noqa: PTH123
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESS_SPACE, resource.RLIM_INFINITY))
    for line in sys.stdin:
        ending = run_case(Case.from_json(line))
        answers.write(json.dumps([ending.outcome, ending.said[-4000:]]) + "\n")
        answers.flush()


def _warm_up() -> None:
    """Import and compile before any case is timed."""
    run_case(Case("warm-up", ("evaluate", "run", "--limit", "2"), material.run_files(forgetful=True)), seconds=0)
    files = material.run_files()
    for arguments in (("evaluate", "run", "--limit", "2"), ("plot", "run", "training"), ("circuits", "plan", "ring")):
        run_case(Case("warm-up", arguments, files), seconds=0)


if __name__ == "__main__":
    main()
