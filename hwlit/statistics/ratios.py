"""Ratios of costs, such as time and energy, between methods that ran seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwlit.statistics.spread import Spread

FEW = 2  # pairs of runs, whose own spread says almost nothing
LEAST_METHODS = 3  # from which a spread is lent


@dataclass(frozen=True)
class LentSpread:
    """The spread of logs over runs that several methods show together.

    Args:
        variance: Of the log of one run, seed and method taken out.
        freedom: Degrees of freedom of that estimate.
    """

    variance: float
    freedom: int


@dataclass(frozen=True)
class Ratio:
    """How many times as much one method takes as another.

    Args:
        value: First over second.
        low: Lower end of the 95 % interval; None for one run.
        high: Upper end.
        p: Two-sided p value of 1; None for one run.
        seeds: How many pairs of runs.
        test: What the interval comes from; "one run" where there is none.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    seeds: int
    test: str


def log_ratio(
    first: Sequence[float], second: Sequence[float], lent: LentSpread | None = None
) -> Ratio | None:
    """Return the ratio of a cost between two methods, by its logs, seed by seed.

    A seed's runs lie beside each other in time, so what drifts meanwhile falls out of each pair.

    Args:
        first: What one method's runs took, without those that were disturbed.
        second: The other's, in the order of the same seeds.
        lent: What other methods show of the spread; used for two seeds, see `lent_spread`.

    Returns:
        None where there is no pair, or a value has no log.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} runs cannot be paired with {len(second)}")
    if not first or not all(math.isfinite(x) and x > 0 for x in (*first, *second)):
        return None
    logs = np.log(first) - np.log(second)
    k, mean = len(logs), float(logs.mean())
    if k == 1:
        return Ratio(math.exp(mean), None, None, None, 1, "one run")
    variance, freedom, test = float(logs.var(ddof=1)) / k, k - 1, "t of paired logs"
    if k <= FEW and lent is not None:
        variance, freedom = 2 * lent.variance / k, lent.freedom
        test = "t of paired logs, spread of all methods"
    spread = Spread(variance, freedom)
    half = spread.half()
    return Ratio(math.exp(mean), _exp(mean - half), _exp(mean + half), spread.p(mean), k, test)


def lent_spread(methods: Sequence[Sequence[float]]) -> LentSpread | None:
    """Return the spread of a cost over runs, method and seed taken out.

    Args:
        methods: What the runs of each took, in the order of the same seeds.

    Returns:
        None with fewer than `LEAST_METHODS` methods or two seeds, or where a value has no log.
    """
    if len(methods) < LEAST_METHODS or len({len(values) for values in methods}) != 1:
        return None
    logs = np.array(methods, dtype=float)
    if logs.shape[1] < 2 or not (np.isfinite(logs).all() and (logs > 0).all()):
        return None
    logs = np.log(logs)
    rest = logs - logs.mean(1, keepdims=True) - logs.mean(0) + logs.mean()
    freedom = (logs.shape[0] - 1) * (logs.shape[1] - 1)
    return LentSpread(float((rest**2).sum()) / freedom, freedom)


def _exp(log: float) -> float:
    return math.exp(log) if log < 700 else math.inf
