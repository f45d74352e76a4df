import csv
import io

import pytest
import torch

from hwlit.callbacks.classified import BY_CLASS, NOT_FINITE, Classified
from hwlit.metrics.intervals import row_variance
from hwlit.metrics.probabilities import brier_scores

NAMES = ("accuracy", *BY_CLASS, "loss", "brier_score", "calibration_error", "average_precision")


def rows(n=40, right=0.8, sure=2.0, seed=0):
    """Rows of two classes of which some are right."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(n) % 2
    hits = torch.rand(n, generator=generator) < right
    guesses = torch.where(hits, targets, 1 - targets)
    logits = sure * torch.nn.functional.one_hot(guesses, 2).float()
    return Classified(("no", "yes"), targets, logits + 0.1 * torch.rand(n, 2, generator=generator))


def metrics(found):
    confusion = found.confusion.double()
    return {name: float(statistic(confusion)) for name, statistic in BY_CLASS.items()}


@pytest.mark.parametrize("right", [0.0, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_every_quality_lies_in_its_interval_and_that_in_its_bounds(n, right):
    found = rows(n, right)
    readings = found.readings(metrics(found))
    assert set(readings) == set(NAMES)
    for name, reading in readings.items():
        measure = reading.measure
        assert measure.role == "quality"
        assert measure.margin
        least, most = measure.bounds
        assert reading.low is not None, name
        assert (least or 0) <= reading.low <= reading.value + 1e-12, name
        assert reading.value - 1e-12 <= reading.high <= (float("inf") if most is None else most)
        assert reading.interval
        assert reading.variance >= 0
    assert [name for name, reading in readings.items() if reading.measure.primary] == ["accuracy"]


@pytest.mark.parametrize("more", [0, 5])
def test_quality_lies_in_its_interval_where_classes_are_rare(more):
    """One common class, 20 of two rows and 20 of one; the common one is right, and some more."""
    targets = torch.tensor([0] * 300 + [1 + i for i in range(20)] * 2 + [21 + i for i in range(20)])
    generator = torch.Generator().manual_seed(0)
    logits = 0.1 * torch.rand(len(targets), 41, generator=generator)
    logits[:, 0] += 1
    logits[300 : 300 + more, 1:] += 2 * torch.nn.functional.one_hot(
        targets[300 : 300 + more] - 1, 40
    )
    found = Classified(tuple(map(str, range(41))), targets, logits)
    readings = found.readings(metrics(found))
    for name in ("f1_macro", "precision_macro", "recall_macro", "average_precision"):
        reading = readings[name]
        assert reading.low <= reading.value + 1e-12, name
        assert reading.value - 1e-12 <= reading.high, name


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("only", [0, 1])
def test_rows_of_one_class_have_no_average_precision(only, classes):
    targets = torch.full((9,), only)
    found = Classified(("a", "b", "c")[:classes], targets, torch.rand(9, classes))
    assert "average_precision" not in found.readings(metrics(found))
    assert "all of one class" in found.absent()["average_precision"]


def test_one_row_has_no_variance_and_no_interval_of_a_mean():
    found = rows(1)
    readings = found.readings(metrics(found))
    assert (readings["loss"].low, readings["loss"].interval) == (None, None)
    assert readings["accuracy"].variance is None


def test_the_rows_give_the_readings():
    found = rows()
    readings, table = found.readings(metrics(found)), found.table(list(range(40)))
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(lines[0]) == ["row_id", "label", "prediction", "loss", "brier"]
    assert table.describe().truth == "label"
    for name, column in (("loss", "loss"), ("brier_score", "brier")):
        values = torch.tensor([float(line[column]) for line in lines], dtype=torch.double)
        assert readings[name].rows.columns == (column,)
        assert readings[name].value == pytest.approx(float(values.mean()), abs=1e-15)
        assert readings[name].variance == pytest.approx(float(values.var()) / 40)
    hits = torch.tensor([line["label"] == line["prediction"] for line in lines]).double()
    assert readings["accuracy"].value == hits.mean()
    assert readings["accuracy"].variance == pytest.approx(row_variance(hits.numpy()))


def test_the_variance_of_f1_is_what_more_rows_would_change():
    """By hand: F1 = 2 hits / (true + said); its slopes by a row's counts are 2 / s and -F1 / s."""
    targets, guesses = (
        torch.tensor([1, 1, 1, 0, 0, 0, 0, 0]),
        torch.tensor([1, 1, 0, 1, 0, 0, 0, 0]),
    )
    found = Classified(("no", "yes"), targets, torch.nn.functional.one_hot(guesses, 2).float())
    f1, s = 4 / 6, 6 / 8
    hits, true, said = targets * guesses, targets, guesses
    values = f1 + (2 * hits - f1 * (true + said)) / s
    reading = found.readings({"f1_positive": f1})["f1_positive"]
    assert reading.variance == pytest.approx(float(values.double().var()) / 8)


def test_logits_that_are_no_numbers_leave_the_classes():
    found = rows()
    found.logits[3, 0] = float("nan")
    readings = found.readings(metrics(found))
    assert "accuracy" in readings
    assert "loss" not in readings
    assert found.absent() == dict.fromkeys(
        ("loss", "brier_score", "calibration_error", "average_precision"), NOT_FINITE
    )
    assert set(found.table(list(range(40))).columns) == {"label", "prediction"}


def test_brier_scores_are_the_loss_of_probabilities():
    shares = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert brier_scores(shares, torch.tensor([1, 0])).tolist() == [2.0, 0.5]


def test_a_macro_figure_says_what_it_rests_on():
    targets, guesses = torch.tensor([0, 0, 1, 3]), torch.tensor([0, 1, 1, 3])
    logits = torch.nn.functional.one_hot(guesses, 5).float()
    found = Classified(("a", "b", "c", "d", "e"), targets, logits)
    readings = found.readings(metrics(found))
    assert readings["f1_macro"].how.text == "test rows; 3 of 5 classes occur or are predicted"
    assert readings["f1_weighted"].how.text == readings["accuracy"].how.text == "test rows"
    assert readings["f1_macro"].value == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert rows().readings(metrics(rows()))["f1_macro"].how.text == "test rows"
