"""Intervals for what a test set of n rows can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwlit.statistics.intervals import wilson
from hwlit.statistics.student import Z_95

RESAMPLES = 2000
STEP = 1e-4  # rows: small enough for a slope, large enough for fp64


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share.

    Args:
        right: How many of the rows are right.
        n: How many rows there are, at least 1.
    """
    return wilson(right / n, n, Z_95)


def bootstrap_interval(
    confusion: Tensor, statistic: Callable[[Tensor], Tensor], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a statistic of the confusion matrix.

    Resampling rows with replacement and counting the cells is one multinomial draw over the cells,
    so the rows themselves are not needed.

    Args:
        confusion: Counts, (classes, classes), true class by predicted class.
        statistic: Maps counts (resamples, classes, classes) to values (resamples,).
        seed: Seed of the resampling.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    n = int(confusion.sum())
    shares = confusion.flatten().double().numpy() / n
    counts = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    values = statistic(torch.from_numpy(counts).double().view(RESAMPLES, *confusion.shape))
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return low, high


def macro_interval(
    confusion: Tensor, per_class: Callable[[Tensor], Tensor], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean over the classes that are seen.

    A class that a draw does not hold counts there by its value in all rows. Left out, rare classes,
    which are the hard ones, would raise the mean of most draws above that of the rows.

    Args:
        confusion: Counts, (classes, classes), true class by predicted class.
        per_class: Maps counts (..., classes, classes) to values (..., classes), NaN for a class
            that neither occurs nor is predicted.
        seed: Seed of the resampling.
    """
    whole = per_class(confusion.double())

    def mean(counts: Tensor) -> Tensor:
        values = per_class(counts)
        return torch.where(values.isnan(), whole, values).nanmean(dim=-1)

    value = float(whole.nanmean())
    low, high = bootstrap_interval(confusion, mean, seed)
    return min(low, value), max(high, value)


def mean_interval(
    values: Tensor, groups: Sequence[Hashable], seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of a mean whose values come in groups.

    Values of a group, such as pictures of one prompt, are alike, so whole groups are drawn with
    replacement; a single group is drawn from value by value.

    Args:
        values: The values, (n,).
        groups: The group of each.
        seed: Seed of the resampling.

    Returns:
        The interval; None where there is but one value.

    Source: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    if len(values) < 2:
        return None
    names = list(dict.fromkeys(groups))
    if len(names) == 1:
        groups = names = list(range(len(values)))
    places = torch.tensor([names.index(group) for group in groups])
    sums = torch.zeros(len(names), dtype=torch.double).index_add(0, places, values.double())
    sizes = torch.bincount(places).double()
    even = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), even, size=RESAMPLES)
    counts = torch.from_numpy(drawn).double()
    means = (counts @ sums) / (counts @ sizes)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=means.dtype)).tolist()
    return low, high


def mean_of_rows_interval(
    values: Tensor, bounds: tuple[float | None, float | None]
) -> tuple[float, float] | tuple[None, None]:
    """Return the 95 % normal interval of a mean of rows, cut to what there can be.

    Args:
        values: The values, (n,).
        bounds: Least and greatest value that there can be; None where there is no end.

    Returns:
        The interval; None twice where there is but one row.
    """
    if len(values) < 2:
        return None, None
    mean, half = float(values.mean()), Z_95 * float(values.std()) / math.sqrt(len(values))
    least, most = bounds
    low = mean - half if least is None else max(least, mean - half)
    return low, mean + half if most is None else min(most, mean + half)


def row_variance(
    values: NDArray[np.float64], groups: Sequence[Hashable] | None = None
) -> float | None:
    """Return the variance of a mean over rows, as drawing other rows would change it.

    Args:
        values: What each row contributes, (n,).
        groups: The group of each, where rows of a group are alike and drawn together.

    Returns:
        The variance; None where there is but one row, or one group.
    """
    parts = (values - values.mean()) / len(values)
    if groups is not None and len(names := list(dict.fromkeys(groups))) > 1:
        places = [names.index(group) for group in groups]
        parts = np.bincount(places, weights=parts)
    n = len(parts)
    return None if n < 2 else float(n / (n - 1) * np.square(parts).sum())


def cell_variance(confusion: Tensor, statistic: Callable[[Tensor], Tensor]) -> float | None:
    """Return the variance of a statistic of the confusion matrix, as other rows would change it.

    Rows of one cell count alike: by what one more of them would change, to first order.

    Args:
        confusion: Counts, (classes, classes), true class by predicted class.
        statistic: Maps counts (cells, classes, classes) to values (cells,); the same for counts
            that are all twice as high.

    Returns:
        The variance; None where there is but one row.

    Source: Jaeckel, The Infinitesimal Jackknife, 1972.
    """
    n = int(confusion.sum())
    if n < 2:
        return None
    counts = confusion.double().flatten()
    filled = counts.nonzero().flatten()
    more = STEP * torch.nn.functional.one_hot(filled, len(counts)).double()
    values = [statistic((counts + sign * more).view(-1, *confusion.shape)) for sign in (1, -1)]
    slopes = (values[0] - values[1]) / (2 * STEP)
    return float(n / (n - 1) * (counts[filled] * slopes.square()).sum())


def accuracy(confusion: Tensor) -> Tensor:
    """Return the share of rows that are right, (...), from counts (..., classes, classes)."""
    return confusion.diagonal(dim1=-2, dim2=-1).sum(-1) / confusion.sum(dim=(-2, -1))


def f1_per_class(confusion: Tensor) -> Tensor:
    """Return the F1 score of each class, (..., classes), from counts (..., classes, classes).

    A class that neither occurs nor is predicted has no F1: its value is NaN.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    seen = confusion.sum(dim=-1) + confusion.sum(dim=-2)
    return 2 * hits / seen


def f1_macro(confusion: Tensor) -> Tensor:
    """Return the mean F1 over the classes that occur or are predicted, (...)."""
    return f1_per_class(confusion).nanmean(dim=-1)


def f1_positive(confusion: Tensor) -> Tensor:
    """Return the F1 of class 1, (...); 0 where it neither occurs nor is predicted."""
    return f1_per_class(confusion)[..., 1].nan_to_num(0.0)


def f1_weighted(confusion: Tensor) -> Tensor:
    """Return the mean F1 weighted by how often each class occurs, (...)."""
    support = confusion.sum(dim=-1)
    return (f1_per_class(confusion).nan_to_num(0.0) * support).sum(-1) / support.sum(-1)


def precision_per_class(confusion: Tensor) -> Tensor:
    """Return the precision of each class, (..., classes); 0 for one that is never predicted.

    A class that neither occurs nor is predicted has none: its value is NaN.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return _of_seen(hits, confusion.sum(dim=-2), confusion)


def recall_per_class(confusion: Tensor) -> Tensor:
    """Return the recall of each class, (..., classes); 0 for one that is predicted, but never is.

    A class that neither occurs nor is predicted has none: its value is NaN.
    """
    hits = confusion.diagonal(dim1=-2, dim2=-1)
    return _of_seen(hits, confusion.sum(dim=-1), confusion)


def precision_macro(confusion: Tensor) -> Tensor:
    """Return the mean precision over the classes that occur or are predicted, (...)."""
    return precision_per_class(confusion).nanmean(dim=-1)


def precision_positive(confusion: Tensor) -> Tensor:
    """Return the precision of class 1, (...); 0 where it neither occurs nor is predicted."""
    return precision_per_class(confusion)[..., 1].nan_to_num(0.0)


def recall_macro(confusion: Tensor) -> Tensor:
    """Return the mean recall over the classes that occur or are predicted, (...)."""
    return recall_per_class(confusion).nanmean(dim=-1)


def recall_positive(confusion: Tensor) -> Tensor:
    """Return the recall of class 1, (...); 0 where it neither occurs nor is predicted."""
    return recall_per_class(confusion)[..., 1].nan_to_num(0.0)


def _of_seen(hits: Tensor, whole: Tensor, confusion: Tensor) -> Tensor:
    """Return a share by class; NaN for one that neither occurs nor is predicted."""
    seen = confusion.sum(dim=-1) + confusion.sum(dim=-2)
    return torch.where(seen > 0, (hits / whole).nan_to_num(0.0), torch.nan)
