"""Metrics of rows, against scikit-learn, and the value of each row, against leaving rows out."""

import numpy as np
import pytest
from sklearn import metrics

from hwlit.errors import IntegrityError
from hwlit.statistics.combining import (
    HOWS,
    Smooth,
    rarest_class,
    row_hits,
    row_values,
    smooth_values,
)

REFERENCES = {
    "accuracy": metrics.accuracy_score,
    "f1_macro": lambda y, p: metrics.f1_score(y, p, average="macro", zero_division=0),
    "f1_weighted": lambda y, p: metrics.f1_score(y, p, average="weighted", zero_division=0),
    "f1_positive": lambda y, p: metrics.f1_score(
        y, p, labels=[1], average="macro", zero_division=0
    ),
    "precision_macro": lambda y, p: metrics.precision_score(y, p, average="macro", zero_division=0),
    "precision_positive": lambda y, p: metrics.precision_score(
        y, p, labels=[1], average="macro", zero_division=0
    ),
    "recall_macro": lambda y, p: metrics.recall_score(y, p, average="macro", zero_division=0),
    "recall_positive": lambda y, p: metrics.recall_score(
        y, p, labels=[1], average="macro", zero_division=0
    ),
}


def columns(rows, classes, seed=0):
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, rows)
    said = np.where(random.random(rows) < 0.7, true, random.integers(0, classes, rows))
    return true, said


def test_every_way_to_combine_is_tested():
    assert {*REFERENCES, "mean", "ratio_of_sums"} == set(HOWS)


@pytest.mark.parametrize("how", REFERENCES)
@pytest.mark.parametrize(
    ("true", "said"),
    [
        columns(200, 2),
        columns(200, 5),
        ([0, 0, 4, 4, 2], [0, 4, 4, 4, 0]),  # 1 and 3 do not occur, 2 is never predicted
        ([0, 0, 0], [0, 1, 0]),  # 1 is predicted and does not occur
        ([0, 1, 1], [0, 0, 0]),
        ([0, 0], [0, 0]),
        ([3], [3]),
        ([1], [0]),
    ],
)
def test_metrics_of_classes(how, true, said):
    true, said = np.array(true), np.array(said)
    value, rows = row_values(how, (true, said))
    assert value == pytest.approx(REFERENCES[how](true, said), abs=1e-12)
    assert rows.shape == true.shape
    assert rows.mean() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("how", REFERENCES)
def test_the_value_of_a_row_is_what_it_changes(how):
    """A little more weight on row i moves the metric by (u_i - F) times it."""
    true, said = columns(60, 3)
    value, rows = row_values(how, (true, said))
    for i in range(0, 60, 7):
        heavy = [np.append(np.tile(column, 500), column[i]) for column in (true, said)]
        changed, _ = row_values(how, heavy)
        assert (changed - value) * 30_001 == pytest.approx(rows[i] - value, abs=1e-3)


def test_a_ratio_of_sums():
    above, below = np.array([1.0, 2, 3]), np.array([2.0, 2, 8])
    value, rows = row_values("ratio_of_sums", (above, below))
    assert value == 0.5
    assert rows == pytest.approx(0.5 + (above - 0.5 * below) / 4)  # the textbook's


def test_a_mean_is_its_rows():
    value, rows = row_values("mean", (np.array([1, 0, 1, 1]),))
    assert (value, rows.tolist()) == (0.75, [1, 0, 1, 1])


def test_any_smooth_function_of_sums():
    """As BLEU is: a geometric mean of ratios."""
    counts = np.random.default_rng(0).uniform(1, 2, (40, 4))

    def value(m):
        return float(np.sqrt(m[0] / m[1] * m[2] / m[3]))

    metric = Smooth(value, lambda m: value(m) / 2 * np.array([1, -1, 1, -1]) / m)
    whole, rows = smooth_values(metric, counts)
    assert rows.mean() == pytest.approx(whole)
    more = np.concatenate([np.tile(counts, (1000, 1)), counts[[3]]])
    changed, _ = smooth_values(metric, more)
    assert (changed - whole) * len(more) == pytest.approx(rows[3] - whole, rel=1e-3)


def test_rows_that_are_right():
    true, said = np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    assert row_hits("f1_macro", (true, said)).tolist() == [1, 1, 0, 1]
    assert row_hits("mean", (np.array([1, 0]),)).tolist() == [1, 0]
    assert row_hits("mean", (np.array([0.5, 1]),)) is None
    assert row_hits("ratio_of_sums", (true, said)) is None
    assert rarest_class("f1_macro", (true, said)) == 1
    assert rarest_class("mean", (true,)) is None


@pytest.mark.parametrize(
    ("how", "found", "told"),
    [
        ("geometric", [[1.0]], "known are accuracy, mean"),
        ("mean", [[1.0], [1.0]], "1 column"),
        ("mean", [[]], "at least one row"),
        ("mean", [[np.nan]], "finite"),
        ("f1_macro", [[0]], "2 column"),
        ("f1_macro", [[0, 1], [0]], "equal length"),
        ("f1_macro", [[0.5], [0]], "class ids"),
        ("f1_macro", [[-1], [0]], "class ids"),
        ("recall_macro", [[1e90], [0]], "class ids"),
        ("mean", [[1e300]], "below 1e"),
        ("ratio_of_sums", [[1], [0]], "below the line"),
    ],
)
def test_columns_that_do_not_fit(how, found, told):
    with pytest.raises(IntegrityError, match=told):
        row_values(how, [np.array(column) for column in found])


def test_accuracy_is_the_share_of_rows_that_are_right():
    value, values = row_values("accuracy", (np.array([0, 1, 2, 1]), np.array([0, 1, 1, 0])))
    assert value == 0.5
    assert values.tolist() == [1, 1, 0, 0]
    assert row_hits("accuracy", (np.array([0, 1]), np.array([0, 0]))).tolist() == [1, 0]
