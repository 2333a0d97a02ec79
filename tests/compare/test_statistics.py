"""The statistics of a comparison against scipy's, and what they say of too little data."""

import numpy as np
import pytest
from scipy import stats

from qlam_qiskit.compare.statistics import mean_and_deviation, paired_t, sign_test


@pytest.mark.parametrize("count", [2, 3, 10])
def test_paired_t_is_scipys(count):
    rng = np.random.default_rng(count)
    first, second = rng.normal(0.9, 0.01, (2, count))
    found = paired_t(list(first), list(second))
    expected = stats.ttest_rel(first, second)
    assert found.t == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.seeds, found.degrees) == (count, count - 1)
    assert found.difference == pytest.approx((first - second).mean())


def test_one_seed_is_no_test_and_equal_differences_have_no_t():
    assert paired_t([0.9], [0.8]) is None
    found = paired_t([0.9, 0.8], [0.8, 0.7])
    assert (found.t, found.p) == (None, None)
    assert found.difference == pytest.approx(0.1)


def test_deviation_is_of_a_sample():
    assert mean_and_deviation([0.9, 0.8, 1.0]) == (pytest.approx(0.9), pytest.approx(np.std([0.9, 0.8, 1.0], ddof=1)))
    assert mean_and_deviation([0.9]) == (0.9, None)


def test_sign_test_of_one_answer_is_mcnemars():
    rng = np.random.default_rng(0)
    first, second = rng.random((500, 1)) < 0.9, rng.random((500, 1)) < 0.85
    found = sign_test(first, second)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(stats.binomtest(min(only_first, only_second), only_first + only_second).pvalue)


def test_answers_of_one_sample_count_once():
    first = np.array([[True, True, True], [True, False, False], [True, True, False]])
    second = np.array([[False, False, False], [False, True, False], [True, True, True]])
    found = sign_test(first, second)
    assert (found.only_first, found.only_second, found.p) == (1, 1, 1.0)


def test_equal_answers_differ_in_nothing():
    same = np.ones((4, 1), dtype=bool)
    assert sign_test(same, same).p == 1.0
