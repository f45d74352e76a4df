"""The parts of a variance: by hand, against a layout of two ways, and for odd shapes."""

import numpy as np
import pytest

from hwlit.errors import IntegrityError
from hwlit.statistics.parts import parts, parts_without_rows, scores


def test_one_run_is_a_mean_of_rows():
    found = parts([np.arange(4)], [np.array([1.0, 0, 1, 1])])
    assert (found.mean, found.seeds, found.rows, found.same_rows) == (0.75, 1, 4, True)
    assert found.row == pytest.approx(np.var([1, 0, 1, 1], ddof=1) / 4)
    assert (found.seed, found.expected, found.training) == (0, 0, 0)
    assert (found.binary, found.rare) == (True, 1)


def test_parts_of_two_ways():
    """Rows x runs without noise of training: the variance of the means is all of single cells."""
    random = np.random.default_rng(0)
    rows, cells = random.normal(size=400), random.normal(0, 0.5, (6, 400))
    cells -= cells.mean(1, keepdims=True)  # so that runs have no luck of their own
    found = parts([np.arange(400)] * 6, list(rows + cells))
    assert found.seed == pytest.approx(0, abs=1e-12)
    between = (rows + cells.mean(0)).var(ddof=1) / 400
    assert found.row == pytest.approx(between)
    assert found.expected == pytest.approx(0.25 / 400 / 6, rel=0.1)
    assert found.training == -found.expected


def test_runs_that_agree_row_by_row_show_no_noise_of_cells():
    row = np.random.default_rng(0).normal(size=30)
    found = parts([np.arange(30)] * 3, [row, row + 1, row + 2])
    assert found.expected == pytest.approx(0, abs=1e-15)
    assert found.training == pytest.approx(np.var([0, 1, 2], ddof=1) / 3)


def test_rows_of_their_own_are_as_many_observations():
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 50))
    found = parts([np.arange(50) + 50 * i for i in range(3)], list(values))
    assert (found.rows, found.same_rows) == (150, False)
    assert found.row == pytest.approx(found.cell, rel=0.02)
    assert found.expected == pytest.approx(found.cell, rel=0.02)


def test_the_order_of_rows_and_the_kind_of_their_names_change_nothing():
    random = np.random.default_rng(2)
    values, order = random.normal(size=(2, 20)), random.permutation(20)
    plain = parts([np.arange(20)] * 2, list(values))
    names = np.array([f"{i:02}" for i in range(20)])
    mixed = parts([names, names[order]], [values[0], values[1][order]])
    assert mixed == plain or vars(mixed) == pytest.approx(vars(plain))


def test_rows_of_a_group_count_as_one():
    """Four pictures of each of five prompts, all alike: five observations, not twenty."""
    prompts = np.repeat(np.arange(5), 4)
    of_a_prompt = np.array([0.2, 0.5, 0.4, 0.9, 0.7])
    found = parts([np.arange(20)], [of_a_prompt[prompts]], [prompts])
    assert (found.rows, found.binary, found.rare) == (5, False, None)
    assert found.row == pytest.approx(of_a_prompt.var(ddof=1) / 5)


def test_runs_of_one_division_are_one_draw_of_it():
    random = np.random.default_rng(3)
    first, second = np.arange(10), np.arange(10) + 5
    values = random.normal(size=(4, 10))
    found = scores([first, second, first, second], list(values))
    assert found.parts.seeds == 2
    assert found.parts.mean == pytest.approx(values.mean())
    pairs = [values[[0, 2]].mean(0), values[[1, 3]].mean(0)]
    assert vars(found.parts) == pytest.approx(
        vars(scores([first, second], pairs).parts) | {"rare": None}
    )


def test_rare_errors_are_counted_over_all_runs():
    one, two = np.ones(30), np.ones(30)
    one[:3] = two[2:6] = 0
    assert parts([np.arange(30)] * 2, [one, two]).rare == 6
    assert parts([np.arange(30)] * 2, [1 - one, 1 - two]).rare == 6
    values = [one * 0.7, two * 0.7]
    assert parts([np.arange(30)] * 2, values).rare is None
    assert parts([np.arange(30)] * 2, values, hits=[one, two]).rare == 6


def test_without_rows_the_runs_own_figures_are_left():
    found = parts_without_rows([0.8, 0.9, 0.85], [1e-4, None, 3e-4], rows=100)
    assert (found.seeds, found.rows, found.row) == (3, 100, pytest.approx(2e-4))
    assert found.expected == pytest.approx(0)
    assert found.training == pytest.approx(np.var([0.8, 0.9, 0.85], ddof=1) / 3)
    assert parts_without_rows([0.8], [None], rows=100).told is False
    assert parts_without_rows([0.8, 0.9], [None, None], rows=100).told is True
    assert parts([np.array([7])], [np.array([0.5])]).told is False


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_scores_that_are_no_measurements(value):
    with pytest.raises(IntegrityError, match="finite numbers"):
        parts([np.arange(2)], [np.array([0.5, value])])
    with pytest.raises(IntegrityError, match="finite numbers"):
        parts_without_rows([0.5, value], [None, None])
    with pytest.raises(IntegrityError, match="finite numbers"):
        parts_without_rows([0.5], [value])
    with pytest.raises(IntegrityError, match="found none"):
        parts([np.arange(0)], [np.empty(0)])
