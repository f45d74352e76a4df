"""Differences of two methods: against the paired t test, and however rows and runs overlap."""

import math

import numpy as np
import pytest
from scipy import stats

from hwlit.statistics.differences import difference
from hwlit.statistics.lending import lent_by_division, lent_noise
from hwlit.statistics.parts import scores, scores_without_rows

ROWS = 40
RANDOM = np.random.default_rng(0)


def real(seeds, rows=None, shift=0.0, noise=0.3, sd=0.0):
    """Runs of a method whose scores are real numbers; rows as given, else the same for all."""
    rows = [np.arange(ROWS)] * seeds if rows is None else rows
    hard = np.random.default_rng(7).normal(size=10_000)
    values = [
        hard[ids] + shift + sd * RANDOM.normal() + noise * RANDOM.normal(size=len(ids))
        for ids in rows
    ]
    return scores(rows, values)


def binary(right, rows=100):
    return scores([np.arange(rows)], [np.isin(np.arange(rows), right).astype(float)])


def test_one_run_each_is_the_paired_t_test():
    first, second = RANDOM.normal(size=(2, 25))
    found = difference(scores([np.arange(25)], [first]), scores([np.arange(25)], [second]))
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval()
    assert (found.mean, found.p) == pytest.approx(((first - second).mean(), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.rows, found.seeds, found.of_these_runs, found.paired) == (25, 1, True, True)


def test_fixed_rows_take_the_noise_of_each_method():
    first, second = real(3, sd=0.2), real(3, sd=0.2)
    found, one, other = difference(first, second), first.parts, second.parts
    row = ((first.shares - second.shares) ** 2).sum() * ROWS / (ROWS - 1)
    noise = max(0, one.training + other.training)
    assert found.variance == pytest.approx(row + noise)
    uncertain = noise + one.expected + other.expected
    freedom = found.variance**2 / (row**2 / (ROWS - 1) + uncertain**2 / 4)
    assert found.freedom == pytest.approx(max(4, freedom))
    t = found.mean / math.sqrt(found.variance)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), found.freedom))
    assert not found.of_these_runs


def test_runs_are_not_paired_by_their_order_where_the_rows_are_fixed():
    values = RANDOM.normal(size=(6, ROWS))
    rows = [np.arange(ROWS)] * 3
    first, second = scores(rows, list(values[:3])), scores(rows, list(values[3:]))
    turned = scores(rows, list(values[[5, 3, 4]]))
    assert difference(first, second).p == pytest.approx(difference(first, turned).p)


def test_divisions_are_paired_however_they_are_ordered():
    rows = [np.sort(RANDOM.permutation(200)[:ROWS]) for _ in range(3)]
    luck = [0.5, -0.5, 0.1]  # of the division: both methods have it
    values = [RANDOM.normal(size=(3, ROWS)) * 0.1 + np.array(luck)[:, None] for _ in range(2)]
    order = [2, 0, 1]
    first = scores(rows, list(values[0]))
    second = scores([rows[i] for i in order], [values[1][i] for i in order])
    found = difference(first, second)
    assert found.high - found.low < 0.3  # unpaired, the luck alone would make it four
    assert found.p == pytest.approx(difference(first, scores(rows, list(values[1]))).p)


@pytest.mark.parametrize("seeds", [(1, 3), (2, 3), (5, 2)])
def test_methods_may_have_other_numbers_of_runs(seeds):
    found = difference(real(seeds[0], shift=1), real(seeds[1]))
    assert found.seeds == min(seeds)
    assert found.of_these_runs == (1 in seeds)
    assert found.low < 1 < found.high
    assert found.p < 0.05


def test_rows_in_part_shared_are_paired_in_part():
    near, far = [np.arange(ROWS)], [np.arange(ROWS) + ROWS]
    half = [np.arange(ROWS) + ROWS // 2]
    alike, partly, apart = (difference(real(1), real(1, rows)) for rows in (near, half, far))
    assert alike.variance < partly.variance < apart.variance
    assert (alike.paired, partly.paired, apart.paired) == (True, True, False)
    assert (alike.rows, partly.rows, apart.rows) == (ROWS, ROWS * 3 // 2, 2 * ROWS)


def test_rows_of_their_own_are_two_samples():
    values = RANDOM.normal(size=(2, 50))
    found = difference(
        scores([np.arange(50)], [values[0]]), scores([np.arange(50) + 50], [values[1]])
    )
    expected = stats.ttest_ind(*values, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_without_rows_the_variances_add():
    one, other = scores_without_rows([0.8], [1e-4], 500), scores_without_rows([0.75], [2e-4], 400)
    found = difference(one, other)
    assert (found.variance, found.rows, found.paired) == (pytest.approx(3e-4), 400, False)
    mixed = difference(one, real(1))
    assert mixed.variance == pytest.approx(one.parts.row + real(1).parts.row, rel=0.3)
    assert difference(one, scores_without_rows([0.8], [None])).p is None


def test_few_rows_that_differ_are_not_taken_at_their_word():
    """Five to none: McNemar's exact p is .0625; a t test on these rows alone says .025."""
    found = difference(binary(range(95)), binary(range(90)))
    assert found.mean == pytest.approx(0.05)
    assert found.p == pytest.approx(0.0404, abs=0.0001)
    assert found.low > 0
    assert difference(binary(range(94)), binary(range(90))).p > 0.05
    same = difference(binary(range(90)), binary(range(90)))
    assert same.p == 1
    assert same.low == pytest.approx(-same.high)
    assert 0.015 < same.high < 0.025  # equal on 100 rows is not equal


def test_one_row_tells_nothing_and_equal_rows_are_equal():
    one = scores([np.array([7])], [np.array([0.5])])
    assert difference(one, one).p is None
    equal = scores([np.arange(9)], [np.full(9, 0.3)])
    found = difference(equal, equal)
    assert (found.low, found.high, found.p) == (0, 0, 1)


@pytest.mark.parametrize("rows", [None, "new"])
@pytest.mark.parametrize("seeds", [(1, 1), (2, 2), (2, 5), (3, 3), (6, 6)])
def test_interval_and_p_never_contradict_each_other(rows, seeds):
    for shift in np.linspace(0, 0.6, 13):
        divisions = [np.sort(RANDOM.permutation(200)[:ROWS]) for _ in range(max(seeds))]
        first, second = (
            real(k, None if rows is None else divisions[:k], each, sd=0.1)
            for k, each in zip(seeds, (shift, 0), strict=True)
        )
        found, turned = difference(first, second), difference(second, first)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high)
        assert found.low <= found.mean <= found.high
        assert vars(found.turned()) == pytest.approx(vars(turned) | {"spread": found.spread})


def test_lent_noise_is_for_one_run_too():
    others = [real(3, sd=0.2) for _ in range(4)]
    lent = lent_noise([each.parts for each in others])
    first, second = real(1), real(1)
    alone, found = difference(first, second), difference(first, second, lent)
    assert found.variance == pytest.approx(alone.variance + 2 * lent.noise)
    assert (alone.of_these_runs, found.of_these_runs) == (True, False)
    assert "lent by 4 methods" in found.test


def test_noise_is_lent_over_divisions():
    rows = [np.sort(RANDOM.permutation(200)[:ROWS]) for _ in range(3)]
    methods = [real(3, rows, sd=0.2) for _ in range(5)]
    lent = lent_by_division(methods)
    assert (lent.freedom, lent.methods, lent.paired) == (8, 5, True)
    pairs = [difference(a, b) for i, a in enumerate(methods) for b in methods[:i]]
    mean = np.mean([pair.spread.noise for pair in pairs])
    assert lent.noise == pytest.approx(max(0, mean) * 3 / 2)
    found = difference(methods[0], methods[1], lent)
    assert found.spread.noise >= 2 * lent.noise / 3 * (1 - 1e-9)
