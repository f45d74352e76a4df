"""Whether methods are equal, what a table could have shown, and how much more would tell."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hwlit.statistics.differences import LEVEL, Difference
from hwlit.statistics.spread import Spread

Word = Literal["equal", "better", "worse", "not told apart"]
MOST_SEEDS = 200  # more is the same as never
MOST_ROWS = 10_000_000
LEAST_LENDERS = 4  # methods from which the noise of training is known well


@dataclass(frozen=True)
class More:
    """About how many more runs, or rows, would tell two methods apart.

    Args:
        seeds: Fewest and most seeds more a method; None where seeds alone would not tell.
        rows: Fewest and most test rows more; None where rows alone would not tell.
    """

    seeds: tuple[int, int] | None
    rows: tuple[int, int] | None


def word(found: Difference, margin: float, higher: bool = True) -> Word | None:
    """Return what a difference shows, first less second, in one of four words.

    "equal" comes first, for what is shown to lie within the margin does not matter, even where it
    is shown not to be 0.

    Args:
        found: The difference.
        margin: How great a difference is still no matter; of the metric.
        higher: Whether more of the metric is better.

    Returns:
        The word about the first; None where there is too little to tell.
    """
    if found.p is None:
        return None
    if equivalent(found, margin):
        return "equal"
    if found.p >= LEVEL:
        return "not told apart"
    return "better" if (found.mean > 0) == higher else "worse"


def equivalent(found: Difference, margin: float) -> bool:
    """Return whether a difference is shown to lie within a margin: its whole interval does.

    That is more careful than two one-sided tests of 5 % for each pair, by which a table of seven
    methods holds a false "equal" in 20 %, and beside which the interval may leave the margin.
    Never for single runs: of their methods nothing is shown.

    Source: Schuirmann, A comparison of the two one-sided tests procedure and the power approach,
    1987; here on the interval for all pairs.
    """
    within = least_margin(found)
    return within is not None and within < margin


def least_margin(found: Difference) -> float | None:
    """Return the least margin within which a difference is shown to lie; None of single runs."""
    if found.half is None or found.of_these_runs:
        return None
    return abs(found.centre) + found.half


def smallest_difference(found: Difference) -> float | None:
    """Return the difference that a comparison shows with probability .80; None if none at all."""
    return None if found.spread is None else _seen(found.spread, found.level, False)


def margin_for_equal(found: Difference) -> float | None:
    """Return the margin within which equal methods are shown to be equal, probability .80."""
    if found.spread is None or found.of_these_runs:
        return None
    return _seen(found.spread, found.level, True)


def how_many_more(found: Difference, wanted: float, equal: bool = False, methods: int = 2) -> More:
    """Return how many more seeds or rows would show a difference, with the range it deserves.

    The noise is an estimate, so its answer is one too: from four methods that lend it the true
    number is within half to 1.5 times the answer, from fewer within a quarter to twice.

    Args:
        found: The comparison as it stands.
        wanted: The difference to be shown, above 0; for `equal` the margin.
        equal: Whether to show the methods to be equal, instead of different.
        methods: How many methods the noise of training is known from.
    """
    spread = found.spread
    if spread is None or found.of_these_runs or found.seeds < 2:
        return More(None, None)
    low, high = (0.5, 1.5) if methods >= LEAST_LENDERS else (0.25, 2.0)
    seeds = _seeds(found, spread, wanted, equal)
    rows = _rows(found, spread, wanted, equal)
    return More(
        None if seeds is None else _range(seeds * low, seeds * high, found.seeds),
        None if rows is None else _range(rows * low, rows * high, found.rows),
    )


def _seen(spread: Spread, level: float, equal: bool) -> float:
    """Return what is seen with probability .80: the half width, and how far an estimate strays."""
    if equal:  # it may stray to either side, by .10 each
        return spread.half(level) + spread.half(2 * 0.10)
    return spread.half(level) + spread.half(2 * 0.20)


def _seeds(found: Difference, spread: Spread, wanted: float, equal: bool) -> int | None:
    """Return how many seeds in all would tell; None where none do."""
    seeds = found.seeds
    of_rows = max(0.0, spread.row - spread.expected)
    of_one = seeds * (spread.noise + spread.expected)
    a_seed = spread.noise_freedom / max(1, seeds - 1)

    def tells(k: int) -> bool:
        then = Spread(
            of_rows + spread.expected * seeds / k, spread.row_freedom, of_one / k
            - spread.expected * seeds / k, a_seed * (k - 1), spread.expected * seeds / k,
        )  # fmt: skip
        return _seen(then, found.level, equal) <= wanted

    return _first(tells, seeds, MOST_SEEDS)


def _rows(found: Difference, spread: Spread, wanted: float, equal: bool) -> int | None:
    """Return how many rows in all would tell; None where none do, or how many is not known."""
    if not found.rows:
        return None

    def tells(rows: int) -> bool:
        times = rows / found.rows
        then = Spread(
            spread.row / times, spread.row_freedom * times, spread.noise, spread.noise_freedom,
            spread.expected / times,
        )  # fmt: skip
        return _seen(then, found.level, equal) <= wanted

    return _first(tells, found.rows, MOST_ROWS)


def _first(tells: Callable[[int], bool], now: int, most: int) -> int | None:
    """Return the least number from one on that tells, where all greater ones do; None if none."""
    if not tells(most):
        return None
    return now + bisect_left(range(now, most), True, key=tells)


def _range(low: float, high: float, now: int) -> tuple[int, int]:
    return max(1, math.floor(low) - now), max(1, math.ceil(high) - now)
