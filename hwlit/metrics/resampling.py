"""Intervals of metrics of test rows that no value by row adds up to, by drawing rows anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from hwlit.metrics.probabilities import average_precision, calibration_error, places, reliability

RESAMPLES, FEWEST = 1000, 200
MOST_NUMBERS = 2e8  # rows x classes x resamples, beyond which fewer are drawn
AT_ONCE = 4e6  # numbers in memory
ENDS = torch.tensor([0.025, 0.975], dtype=torch.double)


def average_precision_interval(
    pairs: Sequence[tuple[Tensor, Tensor]], seed: int = 0
) -> tuple[float, float, float]:
    """Return the 95 % percentile bootstrap interval of mean average precision, and the variance.

    A class that a draw holds no row of is left out of that draw. Such classes are rare, and a draw
    that holds their few rows often holds them twice, which ranks them higher: there the bootstrap's
    bias is taken off.

    Args:
        pairs: Score and truth of each class, as of `average_precision`.
        seed: Seed of the resampling.
    """
    ranked = [_ranked(*pair) for pair in pairs]
    found, lacking = [], False
    for counts in _draws(len(pairs[0][0]), len(pairs), seed):
        areas = torch.stack([_areas(counts[:, order], *rest) for order, *rest in ranked])
        lacking = lacking or bool(areas.isnan().any())
        found.append(areas.nanmean(dim=0))
    means = torch.cat(found)
    means = means[means.isfinite()]
    low, high = torch.quantile(means, ENDS).tolist()
    if lacking:
        value = sum(average_precision(*pair) for pair in pairs) / len(pairs)
        bias = float(means.mean()) - value
        low = max(0.0, min(value, low - bias))
        high = min(1.0, max(value, high - bias))
    return low, high, float(means.var())


def calibration_error_interval(
    shares: Tensor, targets: Tensor, seed: int = 0
) -> tuple[float, float, float]:
    """Return a 95 % interval of the expected calibration error, and the variance over draws.

    The error of a sample is above the true one, for a bin's deviation counts whatever its sign, and
    that of a sample of the sample still more: a percentile interval misses an error of 0 always. So
    the bootstrap's bias is taken off, at the low end once for each of the two, and the low end is 0
    where rows of a calibrated classifier would show as much.

    Args:
        shares: Probabilities, (rows, classes).
        targets: Class ids, (rows,).
        seed: Seed of the resampling.

    Source: Broecker and Smith, Increasing the Reliability of Reliability Diagrams, 2007;
    https://doi.org/10.1175/WAF993.1
    """
    n, value = len(targets), calibration_error(reliability(shares, targets))
    confidence, predicted = shares.max(dim=-1)
    members = torch.nn.functional.one_hot(places(confidence)).double()
    gaps = members * ((predicted == targets).double() - confidence)[:, None]
    drawn = torch.cat([(counts @ gaps).abs().sum(dim=1) / n for counts in _draws(n, 1, seed)])
    low, high = torch.quantile(drawn, ENDS).tolist()
    bias = float(drawn.mean()) - value
    if value <= _if_calibrated(confidence, members, seed):
        low = 0.0
    else:
        low = max(0.0, min(value, low - 2 * bias))
    return low, min(1.0, max(value, high - bias)), float(drawn.var())


def _if_calibrated(confidence: Tensor, members: Tensor, seed: int) -> float:
    """Return the 97.5 % quantile of the error where each row is right as often as it says."""
    n, errors = len(confidence), []
    generator = torch.Generator().manual_seed(seed)
    for rows in _sizes(n, 1):
        right = torch.rand(rows, n, dtype=torch.double, generator=generator) < confidence
        errors.append(((right.double() - confidence) @ members).abs().sum(dim=1) / n)
    return float(torch.quantile(torch.cat(errors), ENDS[1]))


def _sizes(n: int, classes: int) -> Iterator[int]:
    """Yield how many resamples to make at once, until there are enough."""
    left = int(min(RESAMPLES, max(FEWEST, MOST_NUMBERS / (n * classes))))
    most = max(1, int(AT_ONCE / n))
    while left > 0:
        yield min(left, most)
        left -= most


def _draws(n: int, classes: int, seed: int) -> Iterator[Tensor]:
    """Yield how often each row is drawn, (resamples, n), in parts that fit into memory."""
    generator = np.random.default_rng(seed)
    even = np.full(n, 1 / n)
    for rows in _sizes(n, classes):
        yield torch.from_numpy(generator.multinomial(n, even, size=rows)).double()


def _ranked(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the order by falling score, the truth in it, and where a score is the last of its."""
    order = scores.argsort(descending=True)
    ordered = scores[order]
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])
    return order, positive[order].double(), last


def _areas(counts: Tensor, positive: Tensor, last: Tensor) -> Tensor:
    """Return the average precision of each draw, (resamples,); NaN where no row is positive."""
    hits = (counts * positive).cumsum(dim=1)[:, last]
    above = counts.cumsum(dim=1)[:, last]
    steps = hits.diff(dim=1, prepend=torch.zeros(len(hits), 1, dtype=hits.dtype))
    precision = torch.where(above > 0, hits / above, 0.0)
    return (steps * precision).sum(dim=1) / hits[:, -1]
