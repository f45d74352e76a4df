"""The interval of a method's mean over its runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwlit.statistics.lending import Lent, degrees
from hwlit.statistics.parts import Parts
from hwlit.statistics.spread import Form, Spread
from hwlit.statistics.student import Z_95

ENOUGH_RUNS = 3  # from here on they show their own noise of training
FEW_DIVISIONS = 5  # below it, divisions of the data do not show what is noise of training
FEW_ERRORS = 10  # below it, the wrong rows alone do not show how sure a share is
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Args:
        mean: The mean over runs.
        low: Lower end; None where there is too little to tell.
        high: Upper end.
        half: Half the width before it is bent to the bounds; None likewise.
        freedom: Degrees of freedom of the variance.
        seeds: How many runs.
        rows: How many test rows.
        of_this_run: Whether it speaks of one trained model only, and not of the method: with one
            run nobody knows what another would give.
        lent: Whether the noise of training is lent by other methods.
    """

    mean: float
    low: float | None
    high: float | None
    half: float | None
    freedom: float
    seeds: int
    rows: int
    of_this_run: bool
    lent: bool = False


def mean_interval(parts: Parts, lent: Lent | None = None, bounds: Bounds | None = None) -> Interval:
    """Return the 95 % interval of a method's mean.

    Args:
        parts: The mean and its variance in parts.
        lent: Noise of training that other methods show on the same rows.
        bounds: Smallest and greatest value that the metric can have, infinite where it has none.
    """
    spread, borrowed = mean_spread(parts, lent), _borrows(parts, lent)
    alone = parts.seeds == 1 and not borrowed
    if not parts.told:
        return Interval(parts.mean, None, None, None, 0.0, parts.seeds, parts.rows, alone)
    half = spread.half()
    low, high = _bent(parts, spread, half, bounds or (-math.inf, math.inf))
    return Interval(
        parts.mean, low, high, half, spread.freedom, parts.seeds, parts.rows, alone,
        borrowed,
    )  # fmt: skip


def mean_spread(parts: Parts, lent: Lent | None = None) -> Spread:
    """Return the variance of a method's mean, in the parts that its interval is made of.

    From three runs a method's own noise is enough. With two it may show as none by chance, so there
    the method that is noisiest lends its own: methods differ in noise, and the mean over methods
    covers 90 % where this one has twice that of the others (86 % where three times), the greatest
    95 to 100 % (91 to 98 %).
    """
    k, row_freedom = parts.seeds, parts.rows - 1 if parts.rows > 1 else math.inf
    if lent is not None and _borrows(parts, lent):
        noise, freedom = max(parts.training, lent.greatest / k), degrees(k - 1, lent)
        return Spread(parts.row, row_freedom, noise, freedom, parts.expected, Form.APART)
    if k == 1:
        return Spread(parts.row, row_freedom)
    few = k < (ENOUGH_RUNS if parts.same_rows else FEW_DIVISIONS)
    form = Form.BY_RUNS if few else Form.APART
    return Spread(parts.row, row_freedom, parts.training, k - 1, parts.expected, form)


def _borrows(parts: Parts, lent: Lent | None) -> bool:
    """Return whether noise of training that others lend is used."""
    alike = parts.seeds == 1 or parts.same_rows
    return lent is not None and not lent.paired and alike and parts.seeds < ENOUGH_RUNS


def _bent(parts: Parts, spread: Spread, half: float, bounds: Bounds) -> tuple[float, float]:
    """Return the ends, inside the bounds; as Wilson's where there are two of them."""
    low, high = min(bounds[0], parts.mean), max(bounds[1], parts.mean)
    if not math.isfinite(high - low):
        return max(low, parts.mean - half), min(high, parts.mean + half)
    place = (parts.mean - low) / (high - low)
    rows, t = _rows_of_a_share(parts, spread, half, place, high - low)
    if math.isinf(rows) or rows == 0:  # no variance at all, or a mean at the bound in spite of it
        return max(low, parts.mean - half), min(high, parts.mean + half)
    ends = wilson(place, rows, t)
    return low + ends[0] * (high - low), low + ends[1] * (high - low)


def _rows_of_a_share(
    parts: Parts, spread: Spread, half: float, share: float, width: float
) -> tuple[float, float]:
    """Return how many rows right or wrong would be as sure, and how many deviations to take."""
    if parts.binary and parts.seeds == 1 and spread.noise <= 0:
        return parts.rows, Z_95  # the interval that the run's own record has
    if parts.rare == 0:  # what is left of the variance is rounding
        return parts.rows, Z_95
    rows, t = math.inf, Z_95
    if spread.variance > 0:
        rows = share * (1 - share) * width**2 / spread.variance
        t = half / math.sqrt(spread.variance)
    if parts.rare is not None and (parts.rare < FEW_ERRORS or spread.variance <= 0):
        rows = min(rows, parts.rows)
    return rows, t


def wilson(share: float, rows: float, t: float) -> tuple[float, float]:
    """Return the ends of Wilson's interval, which never leave 0 to 1.

    Args:
        share: Of 0 to 1.
        rows: How many rows right or wrong it rests on, above 0.
        t: How many standard deviations to each side.

    Source: Wilson, Probable Inference, 1927; https://doi.org/10.1080/01621459.1927.10502953
    """
    middle = share + t**2 / (2 * rows)
    half = t * math.sqrt(share * (1 - share) / rows + t**2 / (4 * rows**2))
    scale = 1 + t**2 / rows
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
