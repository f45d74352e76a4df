"""All pairs of methods at once."""

import numpy as np
import pytest

from hwlit.statistics.best import compare_all
from hwlit.statistics.differences import difference
from hwlit.statistics.parts import scores, scores_without_rows
from tools.simulate_statistics import Truth, draw, draw_sums

RANDOM = np.random.default_rng(0)


def table(accuracies, seeds=3, rows=1520, sd=0.5):
    truths = [Truth(seeds, sd, accuracy) for accuracy in accuracies]
    return dict(zip("abcdefgh", draw_sums(RANDOM, rows, truths), strict=False))


def test_two_methods_need_no_adjustment():
    methods = table([0.93, 0.90])
    found = compare_all(methods)
    assert found.pair("a", "b") == difference(methods["a"], methods["b"])
    assert found.pair("b", "a").mean == -found.pair("a", "b").mean


def test_a_pair_has_one_p_however_it_is_asked_for():
    methods = table([0.92, 0.90, 0.90, 0.91, 0.89])
    turned = dict(reversed(methods.items()))
    one, other = compare_all(methods), compare_all(turned)
    for pair, found in one.differences.items():
        again = other.differences[pair]
        assert (found.mean, found.low, found.p) == (again.mean, again.low, again.p)
    assert one.pair("d", "b").p == other.pair("b", "d").p


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_interval_p_and_the_best_agree(seeds):
    for _ in range(5):
        found = compare_all(table(0.9 + 0.02 * RANDOM.random(6), seeds))
        alone = {pair: d.spread.p(d.centre) for pair, d in found.differences.items()}
        for pair, each in found.differences.items():
            assert (each.p < 0.05) == (not each.low <= 0 <= each.high)
            assert each.p >= alone[pair]
            if each.p < 0.05:
                assert pair[each.mean > 0] not in found.may_be_best
            assert each.of_these_runs == (seeds == 1)
        assert found.may_be_best


def test_the_first_always_may_be_the_best():
    methods = table([0.99, 0.9, 0.9, 0.9])
    assert compare_all(methods).may_be_best == {"a"}
    losses = compare_all(methods, higher=False)
    assert "a" not in losses.may_be_best
    assert losses.may_be_best


def test_one_run_among_methods_with_several_is_lent_their_noise():
    methods = table([0.9] * 5) | {"one": draw(RANDOM, 1520, [Truth(1)])[0]}
    found = compare_all(methods)
    assert found.lent.methods == 5
    assert not found.pair("one", "a").of_these_runs
    few = {name: methods[name] for name in ("a", "b", "one")}
    assert compare_all(few).pair("one", "a").of_these_runs
    assert not compare_all(few).pair("a", "b").of_these_runs


def test_methods_on_other_rows_stand_beside_them():
    methods = table([0.9] * 3)
    elsewhere = scores(
        [np.arange(500) + 10_000] * 3, list((RANDOM.random((3, 500)) < 0.9).astype(float))
    )
    methods |= {"elsewhere": elsewhere, "rowless": scores_without_rows([0.9] * 2, [1e-4] * 2, 500)}
    methods["unknown"] = scores_without_rows([0.95], [None])
    found = compare_all(methods)
    assert not found.pair("a", "elsewhere").paired
    assert found.pair("a", "b").paired
    assert found.pair("a", "unknown").p is None
    assert "unknown" not in found.may_be_best
    assert found.pair("a", "rowless").p <= 1


def test_methods_that_are_the_same_are_equal():
    one = table([0.9])["a"]
    real = scores([np.arange(30)] * 2, list(RANDOM.random((2, 30))))
    for each in (one, real):
        found = compare_all({"a": each, "b": each, "c": each})
        assert {pair.p for pair in found.differences.values()} == {1}
        assert found.may_be_best == {"a", "b", "c"}
    constant = scores([np.arange(30)] * 2, [np.full(30, 0.3)] * 2)
    better = scores([np.arange(30)] * 2, [np.full(30, 0.4)] * 2)
    found = compare_all({"a": constant, "b": constant, "c": better})
    assert found.may_be_best == {"c"}


def test_one_method_or_none():
    assert compare_all({}).may_be_best == set()
    assert compare_all(table([0.9])).may_be_best == {"a"}
