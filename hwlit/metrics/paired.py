"""Comparison of two methods, paired where they saw the same test rows. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlit.statistics.student import SMALLEST, Z_95, student_p, student_quantile


@dataclass(frozen=True)
class Difference:
    """The mean difference between two methods, with its 95 % interval.

    Args:
        mean: First method less second.
        low: Lower end; None where there is too little to tell.
        high: Upper end.
        p: Two-sided p value of no difference.
        test: What the p value comes from.
        rows: How many test rows it rests on.
        seeds: How many pairs of runs.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    test: str
    rows: int
    seeds: int


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p value of McNemar's exact test.

    Args:
        only_first: Rows that only the first method has right.
        only_second: Rows that only the second method has right.

    Source: McNemar, Sampling error of the difference between correlated proportions, 1947; exact by
    the binomial distribution as in https://doi.org/10.1186/1471-2288-13-91
    """
    n, least = only_first + only_second, min(only_first, only_second)
    term = total = 1
    for k in range(least):
        term = term * (n - k) // (k + 1)
        total += term
    p: float = 2 * total / 2**n  # of whole numbers: exact, however many
    return min(1.0, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for there being several, by Holm's method.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def crossed_difference(
    rows: Sequence[NDArray[np.int64]], differences: Sequence[NDArray[np.float64]]
) -> Difference:
    """Return the mean over seeds of a difference that was seen row by row.

    Rows and seeds both are a draw from many, so the variance of the mean is that of the rows (each
    row's share in the mean, over all seeds) and that of the seeds' means together. Noise of one row
    under one seed counts in both, which makes the interval rather too wide. Student's t with the
    degrees of freedom of Welch and Satterthwaite, for seeds are few.

    Args:
        rows: Row ids of each seed, (n,); seeds may have other rows.
        differences: First method less second on these rows, (n,).

    Source: Satterthwaite, An approximate distribution of estimates of variance components, 1946.
    """
    ids = np.concatenate(rows)
    names, places = np.unique(ids, return_inverse=True)
    means = np.array([found.mean() for found in differences])
    shares = np.concatenate(
        [(d - m) / (len(d) * len(means)) for d, m in zip(differences, means, strict=True)]
    )
    n, mean = len(names), float(means.mean())
    by_row = np.bincount(places, weights=shares)
    parts = [(float((by_row**2).sum()) * n / (n - 1), n - 1)] if n > 1 else []
    if len(means) > 1:
        parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    low, high, p = _student(mean, parts)
    test = "t over rows and seeds" if len(means) > 1 else "t over rows"
    return Difference(mean, low, high, p, test, n, len(means))


def mean_over_seeds(
    values: Sequence[float], halves: Sequence[float | None]
) -> tuple[float, float | None, float | None]:
    """Return the mean of one quantity over seeds and its 95 % interval.

    Args:
        values: One for each seed.
        halves: Half the width of each one's own 95 % interval; None where it has none.

    Returns:
        Mean, low, high; the ends are None where one run without an interval is all there is.
    """
    mean = sum(values) / len(values)
    known = [half for half in halves if half is not None]
    parts: list[tuple[float, float]] = []
    if known:  # the rows are those of every seed, so more seeds do not lessen their part
        parts.append((sum((half / Z_95) ** 2 for half in known) / len(known), math.inf))
    if len(values) > 1:
        spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
        parts.append((spread / len(values), len(values) - 1))
    low, high, _ = _student(mean, parts)
    return mean, low, high


def apart(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return low end, high end and p value of a difference of two means that are not paired.

    Args:
        first: Mean, low and high.
        second: Mean, low and high.
    """
    mean = first[0] - second[0]
    variances = [((high - low) / 2 / Z_95) ** 2 for _, low, high in (first, second)]
    low, high, p = _student(mean, [(variance, math.inf) for variance in variances])
    assert low is not None
    assert high is not None
    assert p is not None
    return low, high, p


def _student(
    mean: float, parts: Sequence[tuple[float, float]]
) -> tuple[float | None, float | None, float | None]:
    """Return interval and p value of a mean, given variances and their degrees of freedom."""
    if not parts:
        return None, None, None
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return mean, mean, float(mean == 0)
    freedom = variance**2 / max(SMALLEST, sum(part**2 / df for part, df in parts))
    half = student_quantile(0.975, freedom) * math.sqrt(variance)
    return mean - half, mean + half, student_p(mean / math.sqrt(variance), freedom)
