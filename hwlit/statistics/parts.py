"""What makes the mean of a method's runs vary: its test rows, its training, and both at once.

Runs of one method differ in their seed. `Scores` holds what they scored row by row, in the form
that all else is computed from: how much each row contributes to the mean over all runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwlit.errors import IntegrityError

LARGEST = 1e100
Floats = NDArray[np.float64]
Names = NDArray[np.generic]
Name = TypeVar("Name", bound=np.generic)


@dataclass(frozen=True)
class Parts:
    """The mean of a metric over runs, and its variance in parts.

    Args:
        mean: Mean over the runs.
        seeds: How many runs, k. Where runs share divisions of the data and divisions differ, how
            many divisions.
        rows: How many test rows, or groups of rows that are alike, N; 0 where that is not known.
        row: Variance of the mean by the draw of the test rows, the noise of single cells
            (row x run) included.
        cell: Variance of the mean, were each run's rows its own.
        seed: Variance of the mean by the spread of the runs' means; 0 for one run.
        same_rows: Whether all runs have the same test rows.
        rare: Of scores that are right or wrong: how many rows are ever wrong, or ever right where
            those are fewer. None for other scores.
        binary: Whether the mean is the share of rows that are right.
    """

    mean: float
    seeds: int
    rows: int
    row: float
    cell: float
    seed: float
    same_rows: bool
    rare: int | None = None
    binary: bool = False

    @property
    def told(self) -> bool:
        """Whether there is anything to tell how sure the mean is: several rows, or runs."""
        return self.rows > 1 or (self.rows == 0 and self.seeds > 1)

    @property
    def expected(self) -> float:
        """What `seed` would be without noise of training, by the noise of single cells (E0)."""
        if self.seeds == 1:
            return 0.0
        return max(0.0, self.cell - (self.row - self.cell) / (self.seeds - 1))

    @property
    def training(self) -> float:
        """Variance of the mean by noise of training (T); an estimate, so it may be below 0."""
        return self.seed - self.expected if self.seeds > 1 else 0.0


@dataclass(frozen=True)
class Division:
    """The test rows of one division of the data, and what one method scored on them.

    Args:
        units: Distinct rows (or groups), ascending, (n,).
        mean: Mean score.
        shares: What each unit adds to the mean beyond its due, (n,); they sum to 0.
    """

    units: Names
    mean: float
    shares: Floats

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What is equal for divisions of the same rows."""
        return tuple(self.units.tolist())

    @property
    def variance(self) -> float:
        """Variance of the mean by the draw of the rows; 0 for one row, of which nobody knows."""
        n = len(self.units)
        return float(self.shares @ self.shares) * n / (n - 1) if n > 1 else 0.0


@dataclass(frozen=True)
class Scores:
    """What the runs of one method scored.

    Args:
        parts: The mean and its variance.
        units: Distinct rows (or groups) of all runs, ascending, (N,); empty where only each run's
            own figures are at hand.
        shares: What each adds to the mean over all runs beyond its due, (N,).
        divisions: One for each run; one for each division of the data where those differ.
    """

    parts: Parts
    units: Names
    shares: Floats
    divisions: tuple[Division, ...]

    @cached_property
    def keys(self) -> frozenset[object]:
        """What is equal for methods with the same divisions."""
        return frozenset(division.key for division in self.divisions)


def scores(
    ids: Sequence[Names],
    values: Sequence[Floats],
    groups: Sequence[Names] | None = None,
    hits: Sequence[Floats] | None = None,
) -> Scores:
    """Return what the runs of one method scored, from their test rows.

    Args:
        ids: Row ids of each run, (n,), each once.
        values: The value of each row, (n,): its score, or of `combining.row_values`.
        groups: The group of each row, (n,), where rows of a group are alike and whole groups were
            drawn, such as the pictures of one prompt.
        hits: Whether each row is right, (n,), 1 or 0. By default the values, where all are 0 or 1.

    Raises:
        IntegrityError: Values are missing, infinite or not numbers.

    Source: the variance of a mean over crossed rows and runs is in Owen, The pigeonhole bootstrap,
    https://doi.org/10.1214/07-AOAS122; its parts are what is expected of a two-way layout.
    """
    for value in values:
        check_measured(value)
    units = ids if groups is None else groups
    runs = [_division(unit, value) for unit, value in zip(units, values, strict=True)]
    binary = groups is None and all(np.isin(value, (0, 1)).all() for value in values)
    if hits is None and binary:
        hits = values
    rare = None if hits is None else _rare(units, hits)
    return _assembled(_by_division(runs), rare, binary)


def scores_without_rows(
    values: Sequence[float], variances: Sequence[float | None], rows: int = 0
) -> Scores:
    """Return what can be said from each run's own figure alone.

    The variance is rather too great: what runs share of their rows' noise is not known, so the
    spread of the runs is all taken for noise of training, and that of the rows is not averaged.

    Args:
        values: The figure of each run.
        variances: That of each by the draw of its rows, such as (half its interval / 1.96)^2; None
            where it is not known.
        rows: How many test rows a run has; 0 where that is not known.

    Raises:
        IntegrityError: Values are missing, infinite or not numbers.
    """
    known = [variance for variance in variances if variance is not None]
    check_measured([*values, *known])
    k, row = len(values), sum(known) / len(known) if known else 0.0
    seed = float(np.var(values, ddof=1)) / k if k > 1 else 0.0
    parts = Parts(
        mean=sum(values) / k, seeds=k, rows=rows if known else 0, row=row, cell=row / k, seed=seed,
        same_rows=False,
    )  # fmt: skip
    return Scores(parts, np.empty(0, np.int64), np.empty(0), ())


def check_measured(values: Sequence[float] | Floats) -> None:
    """Raise unless there are values, all of them finite and of a size whose square is one too.

    Raises:
        IntegrityError: There are none, or others.
    """
    found = np.asarray(values, dtype=float)
    if not found.size or not (np.abs(found) < LARGEST).all():
        odd = found[~(np.abs(found) < LARGEST)]
        raise IntegrityError(
            f"scores are finite numbers below {LARGEST:g}, found {odd[0] if odd.size else 'none'}"
        )


def parts(
    ids: Sequence[Names],
    values: Sequence[Floats],
    groups: Sequence[Names] | None = None,
    hits: Sequence[Floats] | None = None,
) -> Parts:
    """Return the mean of a method's runs and its variance in parts; arguments as of `scores`."""
    return scores(ids, values, groups, hits).parts


def parts_without_rows(
    values: Sequence[float], variances: Sequence[float | None], rows: int = 0
) -> Parts:
    """Return the same from each run's own figure; arguments as of `scores_without_rows`."""
    return scores_without_rows(values, variances, rows).parts


def gathered(divisions: Sequence[Division]) -> tuple[Names, Floats]:
    """Return all units of divisions and what each adds to the mean over them, both (N,)."""
    k = len(divisions)
    first = divisions[0].units
    if all(np.array_equal(first, division.units) for division in divisions[1:]):
        return first, sum((division.shares for division in divisions), np.zeros(len(first))) / k
    units, places = np.unique(
        np.concatenate([division.units for division in divisions]), return_inverse=True
    )
    shares = np.concatenate([division.shares for division in divisions])
    return units, np.bincount(places, shares, len(units)) / k


def distinct(names: NDArray[Name]) -> NDArray[Name]:
    """Return each value once, ascending; of whole numbers ten times as quick as `np.unique`."""
    ordered: NDArray[Name] = np.sort(names)
    once: NDArray[Name] = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    return once


def row_variance(shares: Floats) -> float:
    """Return the variance of a sum of what rows contribute, (N,), each contribution about 0."""
    n = len(shares)
    return float(shares @ shares) * n / (n - 1) if n > 1 else 0.0


def _division(units: Names, values: Floats) -> Division:
    mean = float(values.mean())
    if np.greater(units[1:], units[:-1]).all():
        return Division(units, mean, (values - mean) / len(values))
    names, places = np.unique(units, return_inverse=True)
    shares = np.bincount(places, (values - mean) / len(values), len(names))
    return Division(names, mean, shares.astype(float))


def _by_division(runs: list[Division]) -> list[Division]:
    """Return the runs; averaged by division where several are there, for only those are drawn.

    Runs of one division share its training rows too, so they are no draws of their own.
    """
    if all(np.array_equal(runs[0].units, run.units) for run in runs):
        return runs
    found: dict[tuple[object, ...], list[Division]] = {}
    for run in runs:
        found.setdefault(run.key, []).append(run)
    if len(found) == len(runs):
        return runs
    return [
        Division(alike[0].units, math.fsum(run.mean for run in alike) / len(alike),
                 gathered(alike)[1])
        for alike in found.values()
    ]  # fmt: skip


def _rare(units: Sequence[Names], hits: Sequence[Floats]) -> int:
    """Return how many units are ever wrong, or ever right where those are fewer."""
    every, right = np.concatenate(list(units)), np.concatenate(list(hits)) > 0
    return min(len(distinct(every[right])), len(distinct(every[~right])))


def _assembled(divisions: list[Division], rare: int | None, binary: bool) -> Scores:
    k, means = len(divisions), [division.mean for division in divisions]
    units, shares = gathered(divisions)
    first = divisions[0].units
    found = Parts(
        mean=math.fsum(means) / k,
        seeds=k,
        rows=len(units),
        row=row_variance(shares),
        cell=sum(division.variance for division in divisions) / k**2,
        seed=float(np.var(means, ddof=1)) / k if k > 1 else 0.0,
        same_rows=all(np.array_equal(first, division.units) for division in divisions),
        rare=rare,
        binary=binary,
    )
    return Scores(found, units, shares, tuple(divisions))
