"""Noise of training that one method's few runs show badly, lent by the other methods of a table.

With two or three runs, the spread of the runs is hardly known; that of all methods together is.
Methods may differ in noise, so each keeps its own where that is greater.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwlit.statistics.parts import Division, Parts, Scores, gathered, row_variance

# With three methods equal ones are told apart in 5 % of tables instead of 8; two lend nothing.
LEAST_METHODS = 3
PRIOR = 4  # degrees of freedom that lent noise adds to a method's own


@dataclass(frozen=True)
class Lent:
    """The noise of training of several methods on the same data.

    Args:
        noise: Variance of one run by training, over the methods, at least 0.
        greatest: That of the method that has most, at least 0.
        freedom: Degrees of freedom of that estimate.
        methods: How many methods it rests on.
        paired: Whether the runs were paired by division of the data, so that `noise` holds what
            methods do not share.
    """

    noise: float
    greatest: float
    freedom: int
    methods: int
    paired: bool = False


def lent_noise(methods: Sequence[Parts]) -> Lent | None:
    """Return the noise of training of methods whose runs all have the same test rows.

    Args:
        methods: All that were trained on the data, with any number of runs.

    Returns:
        None where fewer than `LEAST_METHODS` have several runs.
    """
    known = [parts for parts in methods if parts.seeds > 1]
    if len(known) < LEAST_METHODS:
        return None
    freedom = sum(parts.seeds - 1 for parts in known)
    total = sum((parts.seeds - 1) * parts.seeds * parts.training for parts in known)
    greatest = max(parts.seeds * parts.training for parts in known)
    return Lent(max(0.0, total / freedom), max(0.0, greatest), freedom, len(known))


def lent_by_division(methods: Sequence[Scores]) -> Lent | None:
    """Return the noise of training of methods whose runs each have another division of the data.

    It is that of differences, for methods share the rows of a division, and with them its luck.

    Args:
        methods: With the same divisions, each once.

    Returns:
        None where fewer than `LEAST_METHODS` have them.
    """
    if len(methods) < LEAST_METHODS:
        return None
    k = methods[0].parts.seeds
    pairs = [
        paired_training(first, second)[0]
        for i, first in enumerate(methods)
        for second in methods[:i]
    ]
    noise = max(0.0, float(np.mean(pairs))) * k / 2  # a difference has the noise of two runs
    greatest = max(0.0, max(pairs)) * k / 2
    return Lent(noise, greatest, (len(methods) - 1) * (k - 1), len(methods), paired=True)


def paired_training(first: Scores, second: Scores) -> tuple[float, float]:
    """Return the noise of training in a difference of methods with the same divisions, and E0.

    Args:
        first: One method.
        second: Another; its divisions may come in another order.
    """
    other = {division.key: division for division in second.divisions}
    pairs = [(division, other[division.key]) for division in first.divisions]
    differences = [
        Division(one.units, one.mean - two.mean, one.shares - two.shares) for one, two in pairs
    ]
    k = len(differences)
    row = row_variance(gathered(differences)[1])
    cell = sum(difference.variance for difference in differences) / k**2
    seed = float(np.var([difference.mean for difference in differences], ddof=1)) / k
    expected = max(0.0, cell - (row - cell) / (k - 1))
    return seed - expected, expected


def larger(parts: Parts, lent: Lent) -> float:
    """Return a method's noise of training in its mean: its own, or what is lent where greater."""
    return max(parts.training, lent.noise / parts.seeds)


def degrees(own: int, lent: Lent) -> float:
    """Return the degrees of freedom of the larger of both.

    Args:
        own: Degrees of freedom of the method's own noise, or of two methods' together.
        lent: What is lent.
    """
    return min(own + PRIOR, lent.freedom) if lent.freedom else math.inf
