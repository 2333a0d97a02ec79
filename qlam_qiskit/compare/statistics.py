"""How sure a difference is: means over seeds, a paired t test over seeds, an exact sign test over test samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedT:
    """A two-sided paired t test over n seeds; ``t`` and ``p`` are None where all differences are equal."""

    seeds: int
    degrees: int
    difference: float
    t: float | None
    p: float | None


@dataclass(frozen=True)
class SignTest:
    """An exact two-sided binomial test over the samples on which two models differ (McNemar's, for one answer)."""

    only_first: int
    only_second: int
    p: float


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and the standard deviation with n - 1; None for one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def paired_t(first: Sequence[float], second: Sequence[float]) -> PairedT | None:
    """Test whether two models' accuracies over the same seeds differ; None for fewer than two seeds."""
    from scipy.stats import t as student

    differences = [a - b for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        return None
    mean, deviation = mean_and_deviation(differences)
    degrees = len(differences) - 1
    if math.isclose(deviation, 0.0, abs_tol=1e-12):
        return PairedT(len(differences), degrees, mean, None, None)
    value = mean / (deviation / math.sqrt(len(differences)))
    return PairedT(len(differences), degrees, mean, value, float(2 * student.sf(abs(value), degrees)))


def sign_test(first: np.ndarray, second: np.ndarray) -> SignTest:
    """Test whether two models are right equally often on the same samples.

    Takes which answers are right, bool (N, M). With several answers, a sample counts for the model that has more of
    them right, so that answers of one sample are not taken for independent. In place of right answers, any numbers that
    are the higher the better.
    """
    from scipy.stats import binomtest

    difference = first.sum(1) - second.sum(1)
    more, fewer = int((difference > 0).sum()), int((difference < 0).sum())
    p = binomtest(more, more + fewer).pvalue if more + fewer else 1.0
    return SignTest(more, fewer, float(p))
