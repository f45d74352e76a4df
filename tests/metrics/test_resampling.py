import numpy as np
import pytest
import torch

from hwlit.metrics.probabilities import average_precision, calibration_error, reliability
from hwlit.metrics.resampling import average_precision_interval, calibration_error_interval


def calibrated(n, off, seed):
    """Rows that are right less often than they say by so much."""
    rng = np.random.default_rng(seed)
    confidence = torch.from_numpy(rng.uniform(0.5, 1, n))
    right = torch.from_numpy(rng.uniform(size=n)) < confidence - off
    shares = torch.stack([confidence, 1 - confidence], dim=1)
    return shares, torch.where(right, 0, 1)


def test_a_calibrated_classifier_may_have_an_error_of_zero():
    """A percentile interval never holds it, for the error of a sample is always above 0."""
    held = [calibration_error_interval(*calibrated(150, 0.0, seed))[0] == 0 for seed in range(20)]
    assert sum(held) >= 17


def test_the_error_of_one_that_is_not_is_held():
    held = 0
    for seed in range(20):
        shares, targets = calibrated(300, 0.1, seed)
        low, high, variance = calibration_error_interval(shares, targets)
        value = calibration_error(reliability(shares, targets))
        assert 0 <= low <= value <= high <= 1
        assert variance > 0
        held += low <= 0.1 <= high
    assert held >= 16


def test_average_precision_of_draws_is_that_of_the_rows_drawn():
    """Weights stand for rows drawn several times, equal scores included."""
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.integers(0, 6, 30) / 5)
    positive = torch.from_numpy(rng.uniform(size=30) < 0.2 + scores.numpy() * 0.6)
    low, high, variance = average_precision_interval([(scores, positive)])
    draws = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=1000)
    areas = [
        average_precision(scores.repeat_interleave(n), positive.repeat_interleave(n))
        for n in map(torch.from_numpy, draws[:200])
    ]
    assert np.std(areas) ** 2 == pytest.approx(variance, rel=0.25)
    assert low == pytest.approx(np.quantile(areas, 0.025), abs=0.05)
    assert high == pytest.approx(np.quantile(areas, 0.975), abs=0.05)
    assert low <= average_precision(scores, positive) <= high
