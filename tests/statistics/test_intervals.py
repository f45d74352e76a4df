"""Intervals of means: against statsmodels where that has them, and at the edges."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from hwlit.statistics.combining import row_values
from hwlit.statistics.intervals import mean_interval, mean_spread, wilson
from hwlit.statistics.lending import lent_noise
from hwlit.statistics.parts import Parts, parts, parts_without_rows


def right(share, rows=100):
    return np.array([1.0] * round(share * rows) + [0.0] * (rows - round(share * rows)))


def some(seeds, **changed):
    values = {"mean": 0.8, "rows": 1000, "row": 1e-4, "cell": 5e-5, "seed": 4e-5}
    return Parts(seeds=seeds, **(values | {"same_rows": True} | changed))


@pytest.mark.parametrize("count", [0, 1, 30, 97, 100])
def test_one_run_has_wilsons_interval(count):
    found = mean_interval(parts([np.arange(100)], [right(count / 100)]), bounds=(0, 1))
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(count, 100, method="wilson"), abs=1e-9
    )
    assert found.of_this_run


def test_one_run_of_other_scores_has_students_interval():
    values = np.random.default_rng(0).normal(2, 1, 25)
    found = mean_interval(parts([np.arange(25)], [values]), bounds=(0, math.inf))
    expected = stats.t.interval(0.95, 24, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)


def test_several_runs_add_their_noise_of_training():
    found = mean_interval(some(5))
    whole = some(5)
    assert whole.training > 0
    square = stats.t.ppf(0.975, 999) ** 2 * whole.row
    square += stats.t.ppf(0.975, 4) ** 2 * whole.training
    assert found.half == pytest.approx(math.sqrt(square))
    assert (found.low, found.high) == pytest.approx((0.8 - found.half, 0.8 + found.half))
    assert not found.of_this_run


def test_two_runs_and_few_divisions_take_the_spread_as_it_is():
    two = mean_interval(some(2))
    parts_of_two = some(2)
    square = stats.t.ppf(0.975, 999) ** 2 * (parts_of_two.row - parts_of_two.expected)
    square += stats.t.ppf(0.975, 1) ** 2 * parts_of_two.seed
    assert two.half == pytest.approx(math.sqrt(square))
    assert mean_interval(some(3, same_rows=False)).half > mean_interval(some(3)).half
    assert mean_interval(some(5, same_rows=False)).half == mean_interval(some(5)).half


def test_two_runs_that_are_equal_by_chance_are_not_certain():
    found = mean_interval(some(2, seed=0.0, cell=1e-4, row=1e-4, same_rows=False))
    assert found.half > 0.009


def test_noise_is_lent_to_few_runs():
    methods = [some(2, seed=noise) for noise in (1e-5, 4e-5, 6e-5, 5e-5)]
    lent = lent_noise(methods)
    assert lent is not None
    assert lent.greatest == 2 * methods[2].training
    with_lent = mean_interval(methods[1], lent)
    assert with_lent.lent
    assert with_lent.half < mean_interval(methods[1]).half
    assert mean_spread(methods[0], lent).noise == methods[2].training
    assert mean_interval(some(3), lent) == mean_interval(some(3))
    one = mean_interval(some(1, seed=0.0), lent)
    assert (one.of_this_run, one.lent) == (False, True)
    assert lent_noise(methods[:2]) is None


def test_ends_stay_inside_the_bounds():
    wide = some(3, mean=0.99, seed=1e-3)
    share = mean_interval(wide, bounds=(0, 1))
    assert 0 < share.low < 0.9
    assert 0.99 < share.high < 1
    assert mean_interval(wide).high > 1
    low = mean_interval(some(3, mean=0.01, seed=1e-3), bounds=(0, math.inf))
    assert low.low == 0
    assert low.high > 0.05
    angle = mean_interval(some(3, mean=-0.999, seed=1e-4), bounds=(-1, 1))
    assert -1 < angle.low < -0.999 < angle.high
    at_the_bound = mean_interval(some(3, mean=1.0), bounds=(0, 1))
    assert at_the_bound.low < 1 == at_the_bound.high
    beyond = mean_interval(some(3, mean=1.5), bounds=(0, 1))
    assert beyond.low < 1.5 <= beyond.high


def test_all_right_is_not_certain():
    found = mean_interval(parts([np.arange(60)] * 3, [np.ones(60)] * 3), bounds=(0, 1))
    assert (found.low, found.high) == pytest.approx(wilson(1.0, 60, 1.959964))
    few = right(58 / 60, 60)
    found = mean_interval(parts([np.arange(60)] * 9, [few] * 9), bounds=(0, 1))
    assert found.low < wilson(58 / 60, 60, 1.95)[0]


def test_what_has_too_little_to_tell():
    assert mean_interval(parts_without_rows([0.8], [None])).low is None
    assert mean_interval(parts([np.array([1])], [np.array([0.5])])).low is None
    found = mean_interval(parts_without_rows([1.0, 2.0, 3.0], [None] * 3))
    assert (found.low, found.high) == pytest.approx(
        stats.t.interval(0.95, 2, loc=2, scale=stats.sem([1, 2, 3]))
    )
    equal = mean_interval(parts_without_rows([1.0, 1.0, 1.0], [None] * 3))
    assert (equal.low, equal.high) == (1, 1)


def test_all_rows_right_leave_room_below_in_spite_of_rounding():
    rows = np.arange(242)
    truth = rows % 2
    _, values = row_values("f1_macro", (truth, truth))
    found = mean_interval(parts([rows], [values], hits=[np.ones(242)]), bounds=(0.0, 1.0))
    assert found.low < 0.99
    assert found.high == 1
