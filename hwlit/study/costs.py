"""Ratios of one cost, such as time or energy, between methods that ran seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from hwlit.statistics.differences import LEVEL
from hwlit.statistics.lending import PRIOR
from hwlit.statistics.ratios import LentSpread, Ratio, lent_spread, log_ratio
from hwlit.statistics.spread import Spread
from hwlit.study.collect import Run
from hwlit.study.disturbed import undisturbed
from hwlit.study.methods import Method
from hwlit.study.pooling import LARGEST_LOG

Key = tuple[int, int | None]


@dataclass(frozen=True)
class CostRatio:
    """How many times as much one method takes as another.

    Args:
        alone: First over second, with the interval and p value of this pair alone.
        low: Lower end of the 95 % interval for all pairs of the table at once; None for one run.
        high: Upper end.
        p: The p value of a ratio of 1, for all pairs at once; None for one run.
    """

    alone: Ratio
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def value(self) -> float:
        """First over second."""
        return self.alone.value

    @property
    def told(self) -> bool:
        """Whether the runs show that the two differ."""
        return self.p is not None and self.p < LEVEL

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Return plain data."""
        return {**vars(self.alone), "low_of_all_pairs": self.low, "high_of_all_pairs": self.high,
                "p_of_all_pairs": self.p}  # fmt: skip


class Costs:
    """One cost of several methods, run by run; disturbed runs are left out.

    Args:
        methods: Those that may be compared.
        name: Name of the reading.
        derived: What each run took, by run, of a cost that is no reading of its record.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        name: str,
        derived: Mapping[int, float] | None = None,
    ) -> None:
        self._values: dict[str, dict[Key, float]] = {}
        for method in methods:
            own: dict[Key, list[float]] = {}
            for run in undisturbed(method.runs, name)[0]:
                if (value := _value(run, name, derived)) is not None:
                    own.setdefault(_key(run), []).append(value)
            if own:  # runs that repeat both seeds are timings of one thing: their mean
                self._values[method.label] = {key: fmean(values) for key, values in own.items()}
        n = len(self._values)
        self._pairs = max(1, n * (n - 1) // 2)
        self._lent = self._shared_spread()
        self._known: dict[tuple[str, str], CostRatio | None] = {}

    def between(self, first: Method, second: Method) -> CostRatio | None:
        """Return the ratio of two methods; None where no seed is common to both."""
        pair = first.label, second.label
        if pair not in self._known:
            own = len(self._values.get(first.label, {}))
            itself = CostRatio(Ratio(1.0, None, None, None, own, "itself"))
            self._known[pair] = itself if first is second else self._between(*pair)
        return self._known[pair]

    def _between(self, first: str, second: str) -> CostRatio | None:
        one, other = (self._values.get(label, {}) for label in (first, second))
        keys = [key for key in one if key in other]
        mine, theirs = [one[key] for key in keys], [other[key] for key in keys]
        alone = log_ratio(mine, theirs, self._lent)
        if alone is None or len(keys) < 2:
            return None if alone is None else CostRatio(alone)
        logs = np.log(mine) - np.log(theirs)
        mean, spread = float(logs.mean()), self._spread(logs)
        half, p = spread.half(LEVEL / self._pairs), min(1.0, self._pairs * spread.p(mean))
        low, high = (math.exp(min(end, LARGEST_LOG)) for end in (mean - half, mean + half))
        if alone.low is not None and alone.high is not None and alone.p is not None:
            # The spread of all may be less than this pair's own; no more is claimed for that.
            low, high, p = min(low, alone.low), max(high, alone.high), max(p, alone.p)
        return CostRatio(alone, low, high, p)

    def _spread(self, logs: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Spread:
        """Return the variance of a mean of logs: its own, or what is lent where that is greater.

        By itself a pair of three runs says little of its spread, and with many pairs nothing.
        """
        own, k = float(logs.var(ddof=1)) / len(logs), len(logs)
        if self._lent is None:
            return Spread(own, k - 1)
        freedom = min(k - 1 + PRIOR, self._lent.freedom)
        return Spread(max(own, 2 * self._lent.variance / k), freedom)

    def _shared_spread(self) -> LentSpread | None:
        """Return the spread that the methods with the commonest seeds show together."""
        by_seeds: dict[frozenset[Key], list[dict[Key, float]]] = {}
        for own in self._values.values():
            by_seeds.setdefault(frozenset(own), []).append(own)
        alike = max(by_seeds.values(), key=len, default=[])
        return lent_spread([[own[key] for key in sorted(own, key=str)] for own in alike])


def _key(run: Run) -> Key:
    return run.seed, run.record.data.seed


def _value(run: Run, name: str, derived: Mapping[int, float] | None) -> float | None:
    return run.record.value(name) if derived is None else derived.get(id(run))
