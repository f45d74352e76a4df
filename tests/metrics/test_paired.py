"""Paired tests, against statsmodels and scipy."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference
from statsmodels.stats.multitest import multipletests

from hwlit.metrics.paired import (
    apart,
    crossed_difference,
    holm,
    mcnemar,
    mean_over_seeds,
)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 15), (10, 10), (30, 12), (400, 300)])
def test_mcnemar(b, c):
    expected = reference([[40, b], [c, 40]], exact=True).pvalue
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_rows():
    assert mcnemar(5000, 5200) == pytest.approx(stats.binomtest(5000, 10200).pvalue, rel=1e-6)
    assert mcnemar(9000, 10) == 0 or mcnemar(9000, 10) < 1e-300


def test_holm():
    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == []


def test_one_seed_is_the_paired_t_test():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 25))
    found = crossed_difference([np.arange(25)], [first - second])
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval()
    assert (found.mean, found.p) == pytest.approx(((first - second).mean(), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.rows, found.seeds) == (25, 1)


def test_variance_of_rows_and_of_seeds_add_up():
    grid = np.array([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]])  # seed 1 is seed 0 plus four
    found = crossed_difference([np.arange(4)] * 2, list(grid))
    rows, seeds = np.var([2, 3, 4, 5], ddof=1) / 4, np.var([1.5, 5.5], ddof=1) / 2
    freedom = (rows + seeds) ** 2 / (rows**2 / 3 + seeds**2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(rows + seeds)
    assert found.mean == 3.5
    assert (found.low, found.high) == pytest.approx((3.5 - half, 3.5 + half))


def test_seeds_that_split_the_rows_in_their_own_way():
    """Rows of their own: as many independent observations as there are."""
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 50))
    found = crossed_difference([np.arange(50) + 50 * i for i in range(3)], list(values))
    rows = sum(value.var() / 50 for value in values) / 9 * 150 / 149
    seeds = values.mean(1).var(ddof=1) / 3
    freedom = (rows + seeds) ** 2 / (rows**2 / 149 + seeds**2 / 2)
    assert found.high - found.mean == pytest.approx(
        stats.t.ppf(0.975, freedom) * math.sqrt(rows + seeds)
    )


def test_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        rows, seeds = random.normal(0, 1, 60), random.normal(0, 0.2, 3)
        noise = random.normal(0, 1, (3, 60))
        found = crossed_difference([np.arange(60)] * 3, list(rows + seeds[:, None] + noise))
        hits += found.low <= 0 <= found.high
    assert hits / 400 >= 0.94


def test_a_single_row_tells_nothing_and_equal_rows_are_equal():
    found = crossed_difference([np.array([7])], [np.array([0.5])])
    assert (found.mean, found.low, found.p) == (0.5, None, None)
    found = crossed_difference([np.arange(9)], [np.zeros(9)])
    assert (found.low, found.high, found.p) == (0, 0, 1)


def test_mean_over_seeds():
    assert mean_over_seeds([0.8], [None]) == (0.8, None, None)
    assert mean_over_seeds([0.8], [0.05]) == pytest.approx((0.8, 0.75, 0.85))
    mean, low, high = mean_over_seeds([1.0, 2.0, 3.0], [None] * 3)
    expected = stats.t.interval(0.95, 2, loc=2, scale=stats.sem([1, 2, 3]))
    assert (mean, low, high) == pytest.approx((2, *expected))
    assert mean_over_seeds([1.0, 1.0], [0.1, 0.1]) == pytest.approx((1, 0.9, 1.1))


def test_unpaired_difference():
    low, high, p = apart((0.9, 0.87, 0.93), (0.8, 0.76, 0.84))
    assert (low, high) == pytest.approx((0.05, 0.15))
    assert p == pytest.approx(2 * stats.norm.sf(0.1 / (0.05 / 1.959963985)), rel=1e-5)
