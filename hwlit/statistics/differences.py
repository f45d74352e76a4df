"""The difference of two methods, by the test rows that both saw."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hwlit.statistics.intervals import FEW_DIVISIONS
from hwlit.statistics.lending import Lent, degrees, larger, paired_training
from hwlit.statistics.parts import Floats, Parts, Scores, row_variance
from hwlit.statistics.spread import Form, Spread
from hwlit.statistics.student import Z_95

LEVEL = 0.05  # a p value below it tells two methods apart


@dataclass(frozen=True)
class Difference:
    """The mean of one method less that of another, with its 95 % interval.

    Interval and p value come from one variance: 0 is in the interval just where p >= .05. They are
    computed when they are asked for, for a table of many methods has more pairs than it shows.

    Args:
        mean: First less second.
        centre: Middle of the interval; with few rows that differ not quite the mean.
        spread: The variance in parts; None where there is too little to tell.
        seeds: How many runs the method has that has fewer.
        rows: How many distinct test rows (or groups) either saw.
        test: What interval and p come from.
        of_these_runs: Whether it speaks of the trained models only, and not of the methods.
        paired: Whether there are test rows that both saw.
        pairs: How many pairs of methods p and interval are adjusted for.
        level: What the p value of this pair alone must be below to tell it apart: .05, less where
            there are many pairs.
        adjust: Turns the p value of this pair alone into that for all pairs at once.
    """

    mean: float
    centre: float
    spread: Spread | None
    seeds: int
    rows: int
    test: str
    of_these_runs: bool
    paired: bool
    pairs: int = 1
    level: float = LEVEL
    adjust: Callable[[float], float] | None = field(default=None, compare=False)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance."""
        return 0.0 if self.spread is None else self.spread.freedom

    @property
    def variance(self) -> float:
        """Of the difference, as interval and p have it."""
        return 0.0 if self.spread is None else self.spread.variance

    @cached_property
    def half(self) -> float | None:
        """Half the width of the interval; None where there is too little to tell."""
        return None if self.spread is None else self.spread.half(self.level)

    @property
    def low(self) -> float | None:
        """Lower end of the interval; None likewise."""
        return None if self.half is None else self.centre - self.half

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.half is None else self.centre + self.half

    @cached_property
    def p_alone(self) -> float | None:
        """Two-sided p value of no difference, of this pair alone."""
        return None if self.spread is None else self.spread.p(self.centre)

    @cached_property
    def p(self) -> float | None:
        """The same; of many methods at once the adjusted one."""
        if self.p_alone is None or self.adjust is None:
            return self.p_alone
        return self.adjust(self.p_alone)

    def is_told(self, level: float) -> bool:
        """Return whether the p value of this pair alone is below a level of at most .05."""
        if self.spread is None:
            return False
        near = abs(self.centre) <= Z_95 * math.sqrt(self.spread.variance)
        if near and self.spread.variance and self.spread.form is Form.TOGETHER:
            return False  # t has a heavier tail than the normal distribution
        return self.p_alone is not None and self.p_alone < level

    def turned(self) -> Difference:
        """Return second less first."""
        return replace(self, mean=-self.mean, centre=-self.centre)

    def adjusted(self, adjust: Callable[[float], float], level: float, pairs: int) -> Difference:
        """Return the same as one of many comparisons.

        Args:
            adjust: Turns the p value of a pair alone into the adjusted one.
            level: What the p value of the pair alone must be below.
            pairs: How many comparisons there are.
        """
        return replace(self, adjust=adjust, level=level, pairs=pairs)


def difference(first: Scores, second: Scores, lent: Lent | None = None) -> Difference:
    """Return how much better one method scored than another.

    Args:
        first: One method.
        second: The other. Rows are paired by their ids, as far as both have them.
        lent: Noise of training that the methods of the table show together.
    """
    shares, paired = _shares(first, second)
    one, other = first.parts, second.parts
    mean = one.mean - other.mean
    alone = lent is None and min(one.seeds, other.seeds) == 1
    rows, row = _rows(first, second, shares)
    runs = min(one.seeds, other.seeds)
    test = _named(one, other, lent, paired)
    if not (one.told and other.told) or rows == 1:
        return Difference(mean, mean, None, runs, rows, test, alone, paired)
    centre, row = _guarded(mean, row, rows, one, other)
    spread = _spread(first, second, row, rows, lent)
    return Difference(mean, centre, spread, runs, rows, test, alone, paired)


def _shares(first: Scores, second: Scores) -> tuple[Floats, bool]:
    """Return what each row of either adds to the difference, (N,), and whether any is shared."""
    if np.array_equal(first.units, second.units):
        return first.shares - second.shares, len(first.units) > 0
    if not len(first.units) or not len(second.units):
        return np.empty(0), False
    units, places = np.unique(np.concatenate([first.units, second.units]), return_inverse=True)
    both = np.concatenate([first.shares, -second.shares])
    shared = len(units) < len(first.units) + len(second.units)
    return np.bincount(places, both, len(units)).astype(float), shared


def _rows(first: Scores, second: Scores, shares: Floats) -> tuple[int, float]:
    """Return how many rows there are, and the variance by their draw."""
    if len(shares):
        return len(shares), row_variance(shares)
    known = [parts.rows for parts in (first.parts, second.parts) if parts.rows]
    return min(known, default=0), first.parts.row + second.parts.row


def _guarded(mean: float, row: float, rows: int, one: Parts, other: Parts) -> tuple[float, float]:
    """Return difference and variance as if two more rows differed, one in favour of each.

    A few rows that differ show their own variance badly, and none shows none at all. With many it
    changes nothing.

    Source: Agresti and Min, Simple improved confidence intervals for comparing matched
    proportions, https://doi.org/10.1002/sim.1781
    """
    if one.rare is None or other.rare is None or not rows:
        return mean, row
    return mean * rows / (rows + 2), (rows**2 * row + 1) / (rows + 2) ** 2


def _spread(first: Scores, second: Scores, row: float, rows: int, lent: Lent | None) -> Spread:
    one, other = first.parts, second.parts
    row_freedom = rows - 1 if rows > 1 else math.inf
    own = one.seeds + other.seeds - 2
    if not one.same_rows and first.divisions and first.keys == second.keys:
        noise, expected = paired_training(first, second)
        k = one.seeds
        if lent is not None and lent.paired:
            noise = max(noise, 2 * lent.noise / k)
            return Spread(row, row_freedom, noise, degrees(k - 1, lent), expected)
        form = Form.BY_RUNS if k < FEW_DIVISIONS else Form.TOGETHER
        return Spread(row, row_freedom, noise, k - 1, expected, form)
    expected = one.expected + other.expected
    if lent is not None and not lent.paired:
        noise = larger(one, lent) + larger(other, lent)
        return Spread(row, row_freedom, noise, degrees(own, lent), expected)
    if not own:
        return Spread(row, row_freedom)
    noise = one.training + other.training
    several = [parts for parts in (one, other) if parts.seeds > 1]
    if any(not parts.same_rows and parts.seeds < FEW_DIVISIONS for parts in several):
        fewest = min(parts.seeds - 1 for parts in several)
        return Spread(row, row_freedom, noise, fewest, expected, Form.BY_RUNS)
    return Spread(row, row_freedom, noise, own, expected)


def _named(one: Parts, other: Parts, lent: Lent | None, paired: bool) -> str:
    rows = "paired test rows" if paired else "test rows that are not paired"
    if lent is not None:
        return f"t over {rows} and runs, noise of training lent by {lent.methods} methods"
    if max(one.seeds, other.seeds) == 1:
        return f"t over {rows}"
    return f"t over {rows} and runs"
