"""Ratios of costs, seed by seed."""

import math

import numpy as np
import pytest
from scipy import stats

from hwlit.statistics.ratios import lent_spread, log_ratio


def test_paired_logs():
    first, second = [1.3, 2.7, 5.0], [1.0, 2.0, 4.0]
    found = log_ratio(first, second)
    logs = np.log(first) - np.log(second)
    expected = stats.ttest_1samp(logs, 0)
    interval = expected.confidence_interval()
    assert found.value == pytest.approx(math.exp(logs.mean()))
    assert (found.low, found.high) == pytest.approx(
        (math.exp(interval.low), math.exp(interval.high))
    )
    assert found.p == pytest.approx(expected.pvalue)
    back = log_ratio(second, first)
    assert (back.value, back.low) == pytest.approx((1 / found.value, 1 / found.high))


def test_one_run_has_a_ratio_and_no_interval():
    found = log_ratio([3.0], [2.0])
    assert found.value == pytest.approx(1.5)
    assert (found.low, found.p, found.test) == (None, None, "one run")


def test_two_runs_take_the_spread_of_all():
    random = np.random.default_rng(0)
    methods = np.exp(random.normal(0, 0.03, (7, 2)) + random.normal(size=(7, 1))).tolist()
    lent = lent_spread(methods)
    assert lent.freedom == 6
    assert lent.variance == pytest.approx(0.0009, rel=0.9)
    found = log_ratio(methods[0], methods[1], lent)
    half = stats.t.ppf(0.975, 6) * math.sqrt(lent.variance)
    assert math.log(found.high / found.value) == pytest.approx(half)
    own = log_ratio([1.0, 1.1, 1.2], [1.0, 1.0, 1.0], lent)
    assert own == log_ratio([1.0, 1.1, 1.2], [1.0, 1.0, 1.0])
    assert lent_spread(methods[:2]) is None
    assert lent_spread([[1.0], [1.0], [2.0]]) is None
    assert lent_spread([[1.0, 2.0], [1.0, 0.0], [2.0, 1.0]]) is None
    assert lent_spread([[1.0, 2.0], [1.0], [2.0, 1.0]]) is None


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_what_has_no_log_has_no_ratio(value):
    assert log_ratio([value, 1.0], [1.0, 1.0]) is None
    assert log_ratio([1.0], [value]) is None
    assert log_ratio([], []) is None


def test_a_wild_spread_does_not_overflow():
    assert log_ratio([1e300, 1.0], [1.0, 1e300]).high == math.inf


def test_runs_come_in_pairs():
    with pytest.raises(ValueError, match="2 runs cannot be paired with 1"):
        log_ratio([1.0, 2.0], [1.0])
