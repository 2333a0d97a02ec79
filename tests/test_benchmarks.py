"""The benchmark compares equal things, and the documentation quotes what it measured."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import table
from benchmarks.frameworks import FRAMEWORKS
from benchmarks.pairs import check, reference
from benchmarks.problem import Answer, Problem
from benchmarks.process import Worker

TINY = Problem(qubits=3, steps=2, batch=2)


@pytest.mark.parametrize("name", [name for name in FRAMEWORKS if name != "reference"])
def test_a_frameworks_numbers_are_the_engines(name):
    if missing := FRAMEWORKS[name].missing():
        pytest.skip(f"not installed: {', '.join(missing)} (pip install -e '.[bench]')")
    problem = replace(TINY, damped=name.endswith("_mixed"))
    with Worker(name, problem) as worker:
        errors, _ = check(worker, reference(problem))
    assert set(errors) == {"loss", "inputs", "weights"}


def test_numbers_that_differ_are_told():
    ones = Answer(1.0, np.ones((2, 2, 6)), np.ones(6))
    other = Answer(1.0, np.ones((2, 2, 6)), np.full(6, 1.01))
    errors = other.errors(ones, np.ones((2, 3)))
    assert errors["inputs"] == 0
    assert errors["weights"] == pytest.approx(0.01)


def test_the_page_on_speed_quotes_the_committed_results():
    assert table.on_page() == table.section(), "python -m benchmarks.table --write"
