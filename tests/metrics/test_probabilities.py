import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from hwlit.metrics.probabilities import (
    average_precision,
    brier_scores,
    calibration_error,
    precision_recall,
    reliability,
)


def tensor(values):
    return torch.tensor(values, dtype=torch.double)


def random_rows(rows=400, classes=3):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.double) * 2
    targets = torch.randint(classes, (rows,), generator=generator)
    return logits.softmax(-1), targets


def test_calibration_error_by_hand():
    # Confidences .9 and .9 (one right), .7 (right), .61 and .63 (both wrong).
    shares = tensor([[0.9, 0.1], [0.1, 0.9], [0.7, 0.3], [0.61, 0.39], [0.37, 0.63]])
    targets = torch.tensor([0, 0, 0, 1, 0])
    bins = reliability(shares, targets)
    assert [(b.count, b.confidence, b.accuracy) for b in bins] == [
        (2, pytest.approx(0.62), 0.0), (1, pytest.approx(0.7), 1.0), (2, pytest.approx(0.9), 0.5),
    ]  # fmt: skip
    assert calibration_error(bins) == pytest.approx((2 * 0.62 + 0.3 + 2 * 0.4) / 5)


def test_calibration_error_is_that_of_torchmetrics():
    shares, targets = random_rows()
    bins = reliability(shares, targets)
    assert sum(place.count for place in bins) == len(targets)
    assert all(place.low <= place.confidence < place.high for place in bins)
    theirs = MulticlassCalibrationError(num_classes=3, n_bins=15, norm="l1")(shares, targets)
    assert calibration_error(bins) == pytest.approx(float(theirs), abs=1e-6)


def test_full_confidence_lies_in_the_last_bin():
    bins = reliability(tensor([[0.0, 1.0], [0.95, 0.05]]), torch.tensor([1, 1]))
    assert [(place.high, place.count) for place in bins] == [(1.0, 2)]
    assert calibration_error(bins) == pytest.approx(0.975 - 0.5)


def test_brier_score_by_hand():
    shares, targets = tensor([[1, 0], [0.5, 0.5], [0, 1]]), torch.tensor([0, 0, 0])
    assert float(brier_scores(shares, targets).mean()) == pytest.approx((0 + 0.5 + 2) / 3)


def test_average_precision_in_closed_form():
    # One positive row at place k of the ranking: 1 / k.
    for place in (1, 2, 5):
        scores = torch.arange(10, 0, -1).double() / 10
        positive = torch.arange(1, 11) == place
        assert average_precision(scores, positive) == pytest.approx(1 / place)
    every = torch.ones(4, dtype=torch.bool)
    assert average_precision(torch.rand(4, dtype=torch.double), every) == 1.0


def test_average_precision_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    shares, targets = random_rows()
    for k in range(3):
        scores = shares[:, k].round(decimals=2)  # with ties
        theirs = metrics.average_precision_score((targets == k).numpy(), scores.numpy())
        assert average_precision(scores, targets == k) == pytest.approx(theirs, abs=1e-6)


def test_few_points_of_the_curve_are_all_kept():
    curve = precision_recall(tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False]))
    assert curve["threshold"] == [0.9, 0.7]
    assert curve["recall"] == [0.5, 1.0]
    assert curve["precision"] == [1.0, pytest.approx(2 / 3, abs=1e-6)]


def test_many_points_are_thinned_evenly_along_recall():
    shares, targets = random_rows(5000)
    curve = precision_recall(shares[:, 0], targets == 0)
    assert {len(column) for column in curve.values()} <= set(range(90, 101))
    assert curve["recall"][-1] == 1.0
    steps = torch.tensor(curve["recall"]).diff()
    assert float(steps.min()) > 0
    assert float(steps.max()) < 0.02
    assert curve["threshold"] == sorted(curve["threshold"], reverse=True)
