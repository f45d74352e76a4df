"""Equal within a margin, the smallest difference, how much more would tell."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hwlit.statistics.differences import Difference, difference
from hwlit.statistics.parts import scores
from hwlit.statistics.power import (
    equivalent,
    how_many_more,
    margin_for_equal,
    smallest_difference,
    word,
)
from hwlit.statistics.spread import Form, Spread


def found(mean, error, seeds=3, freedom=20.0, **changed):
    spread = Spread(error**2, freedom)
    return replace(Difference(mean, mean, spread, seeds, 1000, "t", False, True), **changed)


@pytest.mark.parametrize(
    ("mean", "error", "told"),
    [
        (0.000, 0.001, "equal"),
        (0.005, 0.001, "equal"),  # shown not to be 0, and shown not to matter
        (0.030, 0.005, "better"),
        (-0.030, 0.005, "worse"),
        (0.010, 0.010, "not told apart"),
        (0.000, 0.010, "not told apart"),
        (0.012, 0.005, "better"),
    ],
)
def test_four_words(mean, error, told):
    each = found(mean, error)
    assert word(each, margin=0.01) == told
    turned = {"better": "worse", "worse": "better"}
    assert word(each.turned(), margin=0.01) == turned.get(told, told)
    assert word(each, margin=0.01, higher=False) == turned.get(told, told)


def test_single_runs_show_no_method_equal():
    one = found(0.0, 0.001, of_these_runs=True)
    assert word(one, margin=0.01) == "not told apart"
    assert margin_for_equal(one) is None
    assert how_many_more(one, 0.01).seeds is None


def test_too_little_has_no_word():
    row = scores([np.array([1])], [np.array([0.5])])
    nothing = difference(row, row)
    assert word(nothing, 0.01) is None
    assert equivalent(nothing, 0.01) is False
    assert smallest_difference(nothing) is margin_for_equal(nothing) is None


def test_equal_is_what_the_whole_interval_says():
    each = found(0.002, 0.004, freedom=12)
    limit = 0.002 + stats.t.ppf(0.975, 12) * 0.004
    assert limit == pytest.approx(each.high)
    assert equivalent(each, limit * 1.001)
    assert not equivalent(each, limit * 0.999)


def test_what_could_have_been_seen():
    each = found(0.0, 0.01, freedom=4)
    q = stats.t.ppf([0.975, 0.80, 0.90], 4)
    assert smallest_difference(each) == pytest.approx((q[0] + q[1]) * 0.01)
    assert margin_for_equal(each) == pytest.approx((q[0] + q[2]) * 0.01)
    assert smallest_difference(each.adjusted(0.3, 0.004, 15)) > smallest_difference(each)


def some(row, noise, expected, seeds=3, rows=1000):
    spread = Spread(row, rows - 1, noise, 2 * (seeds - 1), expected)
    return replace(found(0.0, 0.01, seeds), spread=spread, rows=rows)


def test_seeds_help_against_noise_of_training():
    each = some(row=1e-6, noise=1e-4, expected=5e-7)
    wanted = smallest_difference(each) / 2
    more = how_many_more(each, wanted, methods=7)
    # A quarter of the variance is at four times three seeds; more degrees of freedom save some.
    assert more.seeds[0] <= 12 - 3 <= more.seeds[1]
    assert more.rows is None  # the noise of training stays, however many rows
    wide = how_many_more(each, wanted, methods=2)
    assert wide.seeds[1] > more.seeds[1]


def test_rows_help_against_their_own_noise():
    each = some(row=1e-4, noise=0.0, expected=1e-6)
    wanted = smallest_difference(each) / 2
    more = how_many_more(each, wanted, methods=7)
    assert more.seeds is None
    assert more.rows[0] <= 3000 <= more.rows[1]
    margin = how_many_more(each, margin_for_equal(each) / 2, equal=True, methods=7)
    assert margin.rows[0] <= 3000 <= margin.rows[1]


def test_both_may_be_wanted_and_neither_known():
    each = some(row=1e-4, noise=1e-4, expected=1e-6)
    more = how_many_more(each, math.sqrt(0.2e-4), methods=7)
    assert (more.seeds, more.rows) == (None, None)
    assert how_many_more(replace(each, rows=0), 0.01).rows is None


@pytest.mark.parametrize("form", list(Form))
def test_the_p_value_is_that_of_the_interval_that_ends_at_0(form):
    spread = Spread(1e-4, 200, 2e-4, 2, 5e-5, form)
    for p in (0.9, 0.3, 0.05, 1e-3, 1e-8):
        assert spread.p(spread.half(p)) == pytest.approx(p, rel=1e-6)
        assert spread.p(-spread.half(p)) == pytest.approx(p, rel=1e-6)
    assert spread.p(0) == 1
    assert spread.p(1e9) < 1e-15
    assert Spread(0, 10).p(0) == 1
    assert Spread(0, 10).p(0.1) == 0
