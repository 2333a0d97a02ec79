"""A few hundred cases of the fuzz test, and that it would tell if one ended badly."""

import time
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from qlam_qiskit.errors import QlamError
from tests.fuzz import reading
from tests.fuzz.case import Case
from tests.fuzz.driver import draw, run_all
from tests.fuzz.reading import ACCEPTED, HANG, MEMORY, REFUSED, TRACEBACK, run_case


def _fail(*_):
    return 1 // 0


def _say_two_lines(*_):
    class TwoLines(QlamError):
        def __str__(self):
            return "one\ntwo"

    raise TwoLines


def _take_more_than_ever(*_):
    np.ones((reading._peak() + 2**27) // 8).sum()  # also where the system does not let a peak be reset


@pytest.mark.parametrize(
    ("reader", "outcome"),
    [
        (lambda: None, ACCEPTED),
        (_fail, TRACEBACK),
        (_say_two_lines, TRACEBACK),
        (lambda: time.sleep(30), HANG),
        (_take_more_than_ever, MEMORY),
        (lambda: np.ones(2**52), MEMORY),
    ],
)
def test_a_bad_ending_is_told(monkeypatch, reader, outcome):
    monkeypatch.setattr(reading, "MOST_BYTES", 0)
    monkeypatch.setattr(reading, "MOST_GROWTH", 2**26)  # half of what the last but one adds to the peak
    monkeypatch.setitem(reading._READERS, "@reader", reader)
    assert run_case(Case("test", ("@reader",)), seconds=1 if outcome == HANG else 20).outcome == outcome


def test_a_command_is_refused_in_one_line(monkeypatch):
    ending = run_case(Case("test", ("backends", "list", "--backends", "b.yaml"), {"b.yaml": b"a: 1\na: 2\n"}))
    assert (ending.outcome, "line 2" in ending.said) == (REFUSED, True)


def test_cases_come_back_from_their_seed_and_from_json():
    first, again = list(draw(7, 130)), list(islice(draw(7, 1000), 130))
    assert first == again
    assert [Case.from_json(case.to_json()) for case in first] == first
    assert len({case.kind for case in first}) > 8


def test_hundreds_of_cases_end_well():
    endings = []
    run_all(2026, 250, 2, endings.append)
    assert len(endings) == 250
    counts = Counter(finished.ending.outcome for finished in endings)
    bad = [(one.number, one.ending) for one in endings if one.ending.outcome not in (ACCEPTED, REFUSED)]
    assert not bad, bad[:3]
    assert counts[ACCEPTED] > 20
    assert counts[REFUSED] > 100
