"""How often intervals and verdicts are right, by simulation with a fixed seed.

Three standard errors of the repetitions are allowed beyond 93 and 98 %; `python -m
tools.simulate_statistics` prints the whole grid from more of them.
"""

import math

import pytest

from tools.simulate_statistics import (
    ACCURACY,
    POINT,
    UNEQUAL,
    Truth,
    coverage,
    f1_coverage,
    false_alarms,
    gap_seen,
    lent_coverage,
    power,
    ratios,
    told_seeds,
    true_seeds,
)

TIMES = 300
CELLS = [
    (60, 2, 0.0, False), (60, 3, 1.0, False), (60, 10, 2.0, False),
    (242, 2, 0.5, False), (242, 2, 2.0, False), (242, 3, 0.0, False), (242, 3, 2.0, False),
    (242, 5, 0.5, False), (242, 10, 1.0, False),
    (1520, 2, 0.0, False), (1520, 2, 1.0, False), (1520, 3, 0.5, False), (1520, 5, 2.0, False),
    (1520, 10, 0.0, False),
    (7600, 2, 0.5, False), (7600, 3, 1.0, False), (7600, 5, 0.0, False), (7600, 10, 2.0, False),
    (60, 3, 0.0, True), (60, 10, 0.5, True), (242, 2, 1.0, True), (242, 3, 2.0, True),
    (242, 5, 0.0, True), (1520, 3, 1.0, True),
]  # fmt: skip


def slack(percent, times=TIMES):
    return 300 * math.sqrt(percent / 100 * (1 - percent / 100) / times)


@pytest.mark.parametrize(("rows", "seeds", "sd", "new"), CELLS)
def test_intervals_hold_the_truth_as_often_as_they_say(rows, seeds, sd, new):
    mean, other, *_ = coverage(rows, seeds, sd, new, TIMES)
    # With 60 rows, fewer than ten are ever wrong, and the guards for that are on the safe side.
    most = 100 if seeds == 2 or rows == 60 else 98 + slack(98)
    assert 93 - slack(93) <= mean <= most
    assert 93 - slack(93) <= other <= most


def test_rare_errors():
    mean, other, *_ = coverage(60, 3, 0.5, False, TIMES, accuracy=0.98)
    assert min(mean, other) >= 93 - slack(93)


def test_one_run_is_no_claim_on_the_method():
    """The reason why the words say "of this run": read as a method's, the interval is false."""
    mean, other, *_ = coverage(7600, 1, 1.0, False, TIMES)
    assert max(mean, other) < 60
    assert coverage(7600, 1, 0.0, False, TIMES)[0] > 93 - slack(93)


def test_macro_f1():
    for found in f1_coverage(242, 3, 1.0, 150):
        assert found >= 93 - slack(93, 150)


@pytest.mark.parametrize("sd", [0.1, 0.5, 1.0])
def test_lent_noise(sd):
    found, half = lent_coverage(1520, 2, (*[0.5] * 6, sd), 150)
    assert found >= 93 - slack(93, 150)
    assert half < 4  # points; of its own two runs alone it would be twice that


@pytest.mark.parametrize(
    ("truths", "times"),
    [
        ([Truth(2, 1.0)] * 7, 100),
        ([Truth(3, 1.0)] * 7, 100),
        ([Truth(2, sd) for sd in UNEQUAL], 100),
        ([Truth(3, sd) for sd in UNEQUAL], 100),
        ([Truth(1)] * 7, 100),
        ([Truth(3, 1.0)] * 3, 100),
        ([Truth(2, 1.0)] * 25, 15),
        ([Truth(3, 1.0)] * 25, 15),
    ],
    ids=lambda value: f"{len(value)}x{value[0].seeds}" if isinstance(value, list) else str(value),
)
def test_equal_methods_are_seldom_told_apart(truths, times):
    first, any_pair, best_out = false_alarms(1520, truths, times)
    assert max(first, any_pair) <= 6 + slack(6, times)
    assert best_out <= 7 + slack(7, times)


def test_a_method_that_leads_is_found():
    truths = [Truth(3, 0.5, ACCURACY + 3 * POINT), *[Truth(3, 0.5)] * 6]
    worse, out, leader_out = gap_seen(1520, truths, 40)
    assert worse > 40
    assert out >= worse
    assert leader_out <= 5


@pytest.mark.parametrize("seeds", [3, 5])
def test_power_is_what_is_said(seeds):
    seen, equal, false = power(1520, seeds, 0.5, 150)
    assert 75 - slack(80, 150) <= seen <= 85 + slack(80, 150)
    assert 75 - slack(80, 150) <= equal <= 85 + slack(80, 150)
    assert false <= 6 + slack(6, 150)


def test_told_seeds_are_about_right():
    low, _, high = told_seeds(1520, 3, 1.0, 0.02, 7, 60)
    true = true_seeds(1520, 3, 1.0, 0.02, 7)
    assert true / 2 <= low <= true <= high <= 2 * true


@pytest.mark.parametrize("lent", [False, True])
def test_ratios(lent):
    for seeds in (2, 3, 5):
        assert 93 - slack(93, 400) <= ratios(seeds, 0.0, 400, lent)[0] <= 97.5
