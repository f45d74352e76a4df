"""All methods of a table against one another, and which of them may be the best.

The best is picked on the rows that it is then tested on, so a test of the best against each other
method must allow for all pairs at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hwlit.statistics.differences import LEVEL, Difference, difference
from hwlit.statistics.lending import Lent, lent_by_division, lent_noise
from hwlit.statistics.parts import Scores
from hwlit.statistics.student import student_p

DRAWS = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparisons:
    """Every pair of methods of a table.

    Args:
        differences: By the names of two methods in their alphabetical order: first less second, p
            and interval adjusted for all pairs.
        may_be_best: The methods that are not shown to be below the best; the best is one of them
            in 95 % of tables. A method that is not among them is not the only best, which does
            not make it worse than any one of them.
        lent: The noise of training that all lend each other; None with fewer than three methods
            that have several runs on the same rows, or on the same divisions.
    """

    differences: Mapping[tuple[str, str], Difference]
    may_be_best: frozenset[str]
    lent: Lent | None

    def pair(self, first: str, second: str) -> Difference:
        """Return first less second."""
        if (first, second) in self.differences:
            return self.differences[first, second]
        return self.differences[second, first].turned()


def compare_all(methods: Mapping[str, Scores], higher: bool = True) -> Comparisons:
    """Compare every method with every other, and find which may be the best.

    The p value of a pair is the share of tables of equal methods in which any pair would be as far
    apart: the studentised range, with the correlations that shared rows make, on the larger of own
    and lent noise. 2,000 draws with a fixed seed, in the order of the names, so that the same
    methods give the same figures in every table.

    Args:
        methods: By name.
        higher: Whether more of the metric is better.

    Source: Hothorn, Bretz and Westfall, Simultaneous inference in general parametric models, 2008,
    https://doi.org/10.1002/bimj.200810425; for the best, Hsu, Multiple Comparisons, 1996,
    chapter 4.
    """
    names = sorted(methods)
    lent = _Lenders(methods)
    pairs = {
        (first, second): difference(
            methods[first], methods[second], lent.to(methods[first], methods[second])
        )
        for first, second in combinations(names, 2)
    }
    told = [name for name in names if methods[name].parts.told]
    known = {pair: found for pair, found in pairs.items() if pair[0] in told and pair[1] in told}
    if len(told) < 3:
        out = {
            _behind(pair, found, higher) for pair, found in known.items() if found.is_told(LEVEL)
        }
        return Comparisons(pairs, frozenset(told) - out, lent.all)
    draws = _Draws(told, known)
    adjusted = draws.adjust(known)
    out = {
        behind
        for pair, found in known.items()
        if found.is_told(draws.level_of(behind := _behind(pair, found, higher)))
    }
    return Comparisons(pairs | adjusted, frozenset(told) - out, lent.all)


class _Lenders:
    """Who lends noise of training to whom."""

    def __init__(self, methods: Mapping[str, Scores]) -> None:
        alike = [each.parts for each in methods.values() if each.parts.same_rows]
        self.fixed = lent_noise(alike)
        by_divisions: dict[frozenset[object], list[Scores]] = {}
        for each in methods.values():
            if not each.parts.same_rows and each.divisions:
                by_divisions.setdefault(each.keys, []).append(each)
        self._divided = {keys: lent_by_division(members) for keys, members in by_divisions.items()}

    @property
    def all(self) -> Lent | None:
        """What all lend each other; None where none do, or only some of them."""
        if self.fixed is not None or len(self._divided) != 1:
            return self.fixed
        return next(iter(self._divided.values()))

    def to(self, first: Scores, second: Scores) -> Lent | None:
        """Return what a pair is lent."""
        if first.parts.same_rows and second.parts.same_rows:
            return self.fixed
        return self._divided.get(first.keys) if first.keys == second.keys else None


class _Draws:
    """Tables of methods that are all equal, with the variances that these have.

    Args:
        names: Of the methods.
        pairs: Their differences.
    """

    def __init__(self, names: Sequence[str], pairs: Mapping[tuple[str, str], Difference]) -> None:
        place = {name: i for i, name in enumerate(names)}
        variances = np.zeros((len(names), len(names)))
        for (first, second), found in pairs.items():
            i, j = place[first], place[second]
            variances[i, j] = variances[j, i] = found.variance
        self._freedom = float(np.median([found.freedom for found in pairs.values()]))
        random = np.random.default_rng(0)
        root = _root(variances)
        z = random.normal(size=(DRAWS, len(names))) @ root
        if np.isfinite(self._freedom):
            z /= np.sqrt(random.chisquare(self._freedom, (DRAWS, 1)) / self._freedom)
        # Where the variances are not those of any covariance, what was drawn is nearest to them.
        covariance = root.T @ root
        own = covariance.diagonal()
        drawn = (own + own[:, None] - 2 * covariance).clip(0)
        scale = np.where((variances > 0) & (drawn > 0), np.sqrt(drawn), np.inf)
        highest = _highest(z.T.copy(), scale)
        self._by_name = dict(zip(names, highest, strict=True))
        self._any = np.sort(highest.max(axis=0))  # of the range, so of all pairs both ways
        self._levels: dict[str, float] = {}
        self._p_of_any = [student_p(float(t), self._freedom) for t in reversed(self._any)]

    def adjust(
        self, pairs: Mapping[tuple[str, str], Difference]
    ) -> dict[tuple[str, str], Difference]:
        """Return the differences with p and interval for all pairs at once."""
        level, adjust = self._level(self._any), partial(self._p, len(pairs))
        return {pair: found.adjusted(adjust, level, len(pairs)) for pair, found in pairs.items()}

    def level_of(self, name: str) -> float:
        """Return the p value of a pair alone below which another method is above this one.

        So far above is in 5 % of the draws any.
        """
        if name not in self._levels:
            self._levels[name] = self._level(np.sort(self._by_name[name]))
        return self._levels[name]

    def _level(self, ordered: Floats) -> float:
        """Return the p value of a pair alone that 5 % of the draws are below."""
        return min(LEVEL, student_p(float(ordered[-round(LEVEL * DRAWS)]), self._freedom))

    def _p(self, pairs: int, alone: float) -> float:
        """Return the adjusted p value; below .05 just where that of the pair is below the level."""
        beyond = bisect_left(self._p_of_any, alone)
        p = (1 + beyond) / (DRAWS + 1)
        if beyond == 0:  # further than any draw: by Bonferroni, which is near there
            p = min(p, pairs * alone)
        return max(alone, p)


def _highest(z: Floats, scale: Floats) -> Floats:
    """Return by how many of their errors the others are at most above each, (methods, draws).

    Args:
        z: What was drawn, (methods, draws).
        scale: Standard error of each difference, (methods, methods).
    """
    highest, above = np.empty_like(z), np.empty_like(z)  # above: no new memory for each method
    for i, own in enumerate(z):
        np.subtract(z, own, out=above)
        np.divide(above, scale[i][:, None], out=above)
        above.max(axis=0, out=highest[i])
    return highest


def _root(variances: Floats) -> Floats:
    """Return a square root of the covariance that gives differences these variances.

    Only differences of methods count here, so the mean of all methods is taken out of it.

    Source: Gower, Some distance properties of latent root and vector methods, 1966.
    """
    n = len(variances)
    centred = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centred @ variances @ centred / 2)
    root: Floats = (vectors * np.sqrt(values.clip(0))).T
    return root


def _behind(pair: tuple[str, str], found: Difference, higher: bool) -> str:
    """Return which of a pair is the worse."""
    return pair[1] if (found.mean > 0) == higher else pair[0]
