"""Simulate runs of methods whose truth is known, and count how often `hwlit.statistics` is right.

    python -m tools.simulate_statistics            # every table, four minutes of a processor
    python -m tools.simulate_statistics --quick    # the same tables from few repetitions, seconds

A row is right where a latent score is below a threshold. Of the score's variance .80 is the row's
difficulty, .10 that of the row under one method, .10 that under one run of it: two runs of a
method then agree on 94 % of rows at an accuracy of .90. Noise of training moves the threshold of a
whole run; its standard deviation is `sd`, in points of accuracy. "fixed": all runs have the same
test rows; "new": each run has a fifth of the file for its test, drawn anew. From 242 fixed rows on
the sums over rows are drawn instead of the rows, which gives the same figures sooner.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

import numpy as np

from hwlit.statistics.best import Comparisons, compare_all
from hwlit.statistics.combining import row_hits, row_values
from hwlit.statistics.differences import Difference, difference
from hwlit.statistics.intervals import mean_interval
from hwlit.statistics.lending import LEAST_METHODS, PRIOR, lent_noise
from hwlit.statistics.parts import Parts, Scores, scores
from hwlit.statistics.power import (
    LEAST_LENDERS,
    More,
    equivalent,
    how_many_more,
    margin_for_equal,
    smallest_difference,
)
from hwlit.statistics.ratios import lent_spread, log_ratio
from hwlit.statistics.spread import Spread

ROWS, SEEDS, NOISE = (60, 242, 1520, 7600), (2, 3, 5, 10), (0.0, 0.5, 1.0, 2.0)
ACCURACY = 0.90
POINT = 0.01
# Variance of a row's score in the model: what methods share, a method's own, one run's own.
BOTH, OWN, CELL = 0.0462, 0.0127, 0.0310
UNEQUAL = (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0)  # points, of seven methods


@dataclass(frozen=True)
class Truth:
    """One method as it really is.

    Args:
        seeds: How many runs are made of it.
        sd: Noise of training, in points of accuracy.
        accuracy: Its mean accuracy.
    """

    seeds: int
    sd: float = 0.0
    accuracy: float = ACCURACY


def draw(
    random: np.random.Generator, rows: int, truths: Sequence[Truth], new: bool = False
) -> list[Scores]:
    """Return what the runs of each method score on their test rows."""
    file, most = (5 * rows, max(truth.seeds for truth in truths)) if new else (rows, 1)
    tests = [np.sort(random.permutation(file)[:rows]) for _ in range(most)]
    hard = _normal(random, file, 0.8)
    return [_runs(random, tests, hard + _normal(random, file, 0.1), truth) for truth in truths]


def draw_sums(random: np.random.Generator, rows: int, truths: Sequence[Truth]) -> list[Scores]:
    """Return the same for fixed rows, from sums over rows, as if scores were normal."""
    m, seeds = len(truths), np.array([truth.seeds for truth in truths])
    covariance = np.full((m, m), BOTH) + np.diag(OWN + CELL / seeds)
    # What rows contribute has a covariance that follows Wishart's law, by Bartlett's decomposition.
    factor = np.tril(random.normal(size=(m, m)), -1)
    factor += np.diag(np.sqrt(random.chisquare(rows - 1 - np.arange(m))))
    root = np.linalg.cholesky(covariance) @ factor / rows
    luck = np.linalg.cholesky(np.full((m, m), BOTH) + OWN * np.eye(m)) @ random.normal(size=m)
    return [
        _summed(random, rows, truth, shares, each)
        for truth, shares, each in zip(truths, root, luck / math.sqrt(rows), strict=True)
    ]


def _summed(random, rows: int, truth: Truth, shares, luck: float) -> Scores:
    k, of_a_run = truth.seeds, math.sqrt(CELL / rows + (POINT * truth.sd) ** 2)
    means = truth.accuracy + luck + of_a_run * random.normal(size=k)
    row = float(shares @ shares) * rows / (rows - 1)
    every = np.zeros(rows)
    every[: len(shares)] = shares
    parts = Parts(
        mean=float(means.mean()), seeds=k, rows=rows, row=row, cell=(BOTH + OWN + CELL) / rows / k,
        seed=float(means.var(ddof=1)) / k if k > 1 else 0.0, same_rows=True, rare=rows, binary=True,
    )  # fmt: skip
    return Scores(parts, np.arange(rows), every, ())


def drawn(random, rows: int, truths: Sequence[Truth], new: bool = False) -> list[Scores]:
    """Return scores by rows or by sums."""
    by_sums = rows >= 242 and not new and all(truth.accuracy > 0.8 for truth in truths)
    return draw_sums(random, rows, truths) if by_sums else draw(random, rows, truths, new)


def _runs(random, tests, hard, truth: Truth) -> Scores:
    chosen = [tests[seed % len(tests)] for seed in range(truth.seeds)]
    # In units of the mean's own slope, the threshold's noise is symmetric in accuracy.
    accuracies = truth.accuracy + POINT * truth.sd * random.normal(size=truth.seeds)
    right = [
        (hard[test] + _normal(random, len(test), 0.1) < _threshold(accuracy)).astype(float)
        for test, accuracy in zip(chosen, accuracies, strict=True)
    ]
    return scores(chosen, right)


def _normal(random, n: int, variance: float):
    return random.standard_normal(n, np.float32) * np.float32(math.sqrt(variance))


def _threshold(accuracy: float) -> float:
    return NormalDist().inv_cdf(min(1 - 1e-9, max(1e-9, accuracy)))


def coverage(
    rows: int, seeds: int, sd: float, new: bool, times: int, accuracy: float = ACCURACY
) -> tuple[float, float, float, float]:
    """Return how often the intervals of a mean and of a difference hold the truth, in percent.

    Returns:
        Coverage of means and of differences; their mean half widths in points.
    """
    random = np.random.default_rng([rows, seeds, round(10 * sd), new])
    found = np.zeros(4)
    for _ in range(times):
        truths = [Truth(seeds, sd, accuracy)] * 2
        first, second = drawn(random, rows, truths, new)
        mean, other = mean_interval(first.parts, bounds=(0, 1)), difference(first, second)
        found += (
            mean.low <= accuracy <= mean.high, other.low <= 0 <= other.high,
            (mean.high - mean.low) / 2, (other.high - other.low) / 2,
        )  # fmt: skip
    return tuple(100 * found / times)


def lent_coverage(rows: int, seeds: int, sds: Sequence[float], times: int) -> tuple[float, float]:
    """Return coverage of the noisiest method's mean with lent noise, in percent, and half width."""
    random = np.random.default_rng([rows, seeds, len(sds)])
    hits = width = 0.0
    for _ in range(times):
        methods = drawn(random, rows, [Truth(seeds, sd) for sd in sds])
        lent = lent_noise([method.parts for method in methods])
        found = mean_interval(methods[-1].parts, lent, (0, 1))
        hits += found.low <= ACCURACY <= found.high
        width += (found.high - found.low) / 2
    return 100 * hits / times, 100 * width / times


def f1_coverage(rows: int, seeds: int, sd: float, times: int) -> tuple[float, float]:
    """Return coverage of macro-F1 over three classes of 60, 30 and 10 %: means, differences."""
    random = np.random.default_rng([rows, seeds, round(10 * sd)])
    truth = _true_f1()
    hits = np.zeros(2)
    for _ in range(times):
        first, second = _f1(random, rows, seeds, sd)
        mean, other = mean_interval(first.parts, bounds=(0, 1)), difference(first, second)
        hits += mean.low <= truth <= mean.high, other.low <= 0 <= other.high
    return tuple(100 * hits / times)


@lru_cache
def _true_f1() -> float:
    random = np.random.default_rng(0)
    return float(np.mean([_f1(random, 100_000, 1, 0.0)[0].parts.mean for _ in range(5)]))


def _f1(random, rows: int, seeds: int, sd: float) -> list[Scores]:
    true, hard = random.choice(3, rows, p=(0.6, 0.3, 0.1)), _normal(random, rows, 0.8)
    found = []
    for _ in range(2):
        own = hard + _normal(random, rows, 0.1)
        said = []
        for _ in range(seeds):
            limit = _threshold(ACCURACY + POINT * sd * random.normal())
            wrong = own + _normal(random, rows, 0.1) >= limit
            said.append(np.where(wrong, (true + random.integers(1, 3, rows)) % 3, true))
        values = [row_values("f1_macro", (true, each))[1] for each in said]
        hits = [row_hits("f1_macro", (true, each)) for each in said]
        found.append(scores([np.arange(rows)] * seeds, values, hits=hits))
    return found


def false_alarms(
    rows: int, truths: Sequence[Truth], times: int, new: bool = False
) -> tuple[float, float, float]:
    """Return what is wrongly said of equal methods, in percent of tables.

    Returns:
        How often the first of the table is called better than any other; any method than any
        other; and how often a given method is not among those that may be the best.
    """
    random = np.random.default_rng([rows, len(truths), truths[0].seeds, new])
    found = np.zeros(3)
    for _ in range(times):
        methods, table = _table(random, rows, truths, new)
        first = max(methods, key=lambda name: methods[name].parts.mean)
        told = [pair for pair, each in table.differences.items() if each.p < 0.05]
        found += any(first in pair for pair in told), bool(told), "0" not in table.may_be_best
    return tuple(100 * found / times)


def gap_seen(rows: int, truths: Sequence[Truth], times: int) -> tuple[float, float, float]:
    """Return what is rightly said where the first method leads, in percent.

    Returns:
        The share of the others called worse than it; of the others put out of those that may be
        the best; how often it is itself put out.
    """
    random = np.random.default_rng([rows, len(truths), truths[0].seeds, 1])
    found = np.zeros(3)
    others = [str(i) for i in range(1, len(truths))]
    for _ in range(times):
        _, table = _table(random, rows, truths, False)
        told = [table.pair("0", other) for other in others]
        found += (
            np.mean([each.p < 0.05 and each.mean > 0 for each in told]),
            np.mean([other not in table.may_be_best for other in others]),
            "0" not in table.may_be_best,
        )
    return tuple(100 * found / times)


def _table(random, rows, truths, new) -> tuple[dict[str, Scores], Comparisons]:
    methods = {str(i): each for i, each in enumerate(drawn(random, rows, truths, new))}
    return methods, compare_all(methods)


def power(rows: int, seeds: int, sd: float, times: int) -> tuple[float, float, float]:
    """Return what two methods show at the differences that they are said to show.

    The true difference is the usual smallest one of such tables, by their true variance.

    Returns:
        How often it is seen; how often equal methods are shown equal within the margin of
        `margin_for_equal`; how often methods as far apart as that margin are called equal.
    """
    random = np.random.default_rng([rows, seeds, round(10 * sd), 2])
    alike = [Truth(seeds, sd)] * 2
    plans = [difference(*drawn(random, rows, alike)) for _ in range(max(40, times // 5))]
    gap = math.sqrt(np.mean([smallest_difference(plan) ** 2 for plan in plans]))
    margin = math.sqrt(np.mean([margin_for_equal(plan) ** 2 for plan in plans]))
    found = np.zeros(3)
    for _ in range(times):
        ahead = drawn(random, rows, [Truth(seeds, sd, ACCURACY + gap / 2),
                                    Truth(seeds, sd, ACCURACY - gap / 2)])  # fmt: skip
        apart = drawn(random, rows, [Truth(seeds, sd, ACCURACY + margin / 2),
                                    Truth(seeds, sd, ACCURACY - margin / 2)])  # fmt: skip
        found += (
            difference(*ahead).p < 0.05,
            equivalent(difference(*drawn(random, rows, alike)), margin),
            equivalent(difference(*apart), margin),
        )
    return tuple(100 * found / times)


def told_seeds(
    rows: int, seeds: int, sd: float, wanted: float, methods: int, times: int
) -> tuple[float, float, float]:
    """Return the number of runs that is said to show a difference: 10 %, 50 %, 90 % of tables."""
    random = np.random.default_rng([rows, seeds, methods])
    told = []
    for _ in range(times):
        every = drawn(random, rows, [Truth(seeds, sd)] * methods)
        lent = lent_noise([method.parts for method in every])
        more = how_many_more(difference(every[0], every[1], lent), wanted, methods=methods)
        told.append(_middle(more, seeds, methods))
    return tuple(np.quantile(told, (0.1, 0.5, 0.9), method="nearest"))


def _middle(more: More, seeds: int, methods: int) -> float:
    """Return the number of runs in all that a range is made of."""
    if more.seeds is None:
        return math.inf
    return (seeds + more.seeds[1]) / (1.5 if methods >= LEAST_LENDERS else 2.0)


def true_seeds(rows: int, seeds: int, sd: float, wanted: float, methods: int) -> float:
    """Return what would be said, were every part of the variance known."""
    freedom = 2 * (seeds - 1)
    if methods >= LEAST_METHODS:
        freedom = min(freedom + PRIOR, methods * (seeds - 1))
    of_cells = 2 * CELL / rows / seeds
    noise = 2 * (POINT * sd) ** 2 / seeds
    spread = Spread(2 * OWN / rows + of_cells, rows - 1, noise, freedom, of_cells)
    plan = Difference(0.0, 0.0, spread, seeds, rows, "", False, True)
    return _middle(how_many_more(plan, wanted, methods=methods), seeds, methods)


def ratios(seeds: int, drift: float, times: int, lent: bool) -> tuple[float, float]:
    """Return how often the interval of a ratio of 1.3 holds it, in percent; its half width in %.

    Seven methods run seed by seed, each seed in an order of its own, 3 % apart by chance; the
    machine slows by `drift` from run to run.
    """
    random = np.random.default_rng([seeds, round(1000 * drift), lent])
    hits = width = 0.0
    for _ in range(times):
        places = [random.permutation(7) + 7 * seed for seed in range(seeds)]
        logs = 0.03 * random.normal(size=(7, seeds)) + drift * np.transpose(places)
        logs[0] += math.log(1.3)
        taken = np.exp(logs).tolist()
        found = log_ratio(taken[0], taken[1], lent_spread(taken) if lent else None)
        hits += found.low <= 1.3 <= found.high
        width += math.log(found.high / found.low) / 2
    return 100 * hits / times, 100 * width / times


@dataclass(frozen=True)
class Effort:
    """How much is simulated.

    Args:
        share: Of the repetitions of the full tables.
        rows: Test rows of the tables of coverage.
    """

    share: float = 1.0
    rows: Sequence[int] = ROWS

    def times(self, full: int) -> int:
        """Return the repetitions of a cell."""
        return max(3, round(self.share * full))


def coverage_tables(effort: Effort) -> Iterable[str]:
    """Yield coverage of means and differences, with fixed and new divisions."""
    head = ["rows", "runs", *(f"sd {sd:g}" for sd in NOISE)]
    for new in (False, True):
        yield from titled(f"Coverage, {'new' if new else 'fixed'} divisions: mean / difference "
                          "(half widths in points)", head)  # fmt: skip
        for rows in effort.rows[: 3 if new else None]:
            for seeds in SEEDS:
                times = effort.times(400 if new else 1000)
                cells = [coverage(rows, seeds, sd, new, times) for sd in NOISE]
                yield line(rows, seeds, *(
                    f"{mean:.1f} / {other:.1f} ({half:.1f}, {apart:.1f})"
                    for mean, other, half, apart in cells
                ))  # fmt: skip
    yield from titled("Coverage at an accuracy of .98, 60 rows, fixed: mean / difference", head)
    for seeds in (1, *SEEDS):
        cells = [coverage(60, seeds, sd, False, effort.times(400), 0.98) for sd in NOISE]
        yield line(60, seeds, *(f"{mean:.1f} / {other:.1f}" for mean, other, *_ in cells))
    yield from titled("Coverage of macro-F1, three classes of 60, 30 and 10 %: mean / difference",
                      ["rows", "runs", "sd 0", "sd 1"])  # fmt: skip
    for rows in effort.rows[:3]:
        for seeds in (1, 2, 3, 5):
            cells = [f1_coverage(rows, seeds, sd, effort.times(400)) for sd in (0.0, 1.0)]
            yield line(rows, seeds, *(f"{mean:.1f} / {other:.1f}" for mean, other in cells))
    yield from titled(
        "Coverage with lent noise, two runs of 7 methods; six have sd .5: the seventh (half width)",
        ["rows", *(f"its sd {sd:g}" for sd in (0.1, 0.5, 1, 1.5))],
    )
    for rows in effort.rows[1:]:
        cells = [
            lent_coverage(rows, 2, (*[0.5] * 6, sd), effort.times(400)) for sd in (0.1, 0.5, 1, 1.5)
        ]
        yield line(rows, *(f"{mean:.1f} ({half:.1f})" for mean, half in cells))


def verdict_tables(effort: Effort) -> Iterable[str]:
    """Yield what is said of several methods: false and true."""
    yield from titled(
        "Equal methods, % of tables: first called better / any called better / a given one is not "
        "among those that may be the best",
        ["methods", "rows", "noise (points)", "1 run", "2 runs", "3 runs", "3 runs, new"],
    )
    for methods, rows, noise in (
        (7, 242, [0.0] * 7), (7, 1520, [1.0] * 7), (7, 1520, UNEQUAL), (3, 1520, [1.0] * 3),
        (25, 242, [0.0] * 25), (25, 1520, [1.0] * 25),
    ):  # fmt: skip
        cells = []
        for seeds, new in ((1, False), (2, False), (3, False), (3, True)):
            truths = [Truth(seeds, sd) for sd in noise]
            times = effort.times(400 if methods < 25 else 100)
            if (seeds == 1 and any(noise)) or (new and (methods == 25 or rows == 1520)):
                cells.append("-")  # what is said of one run is no claim on methods; or too slow
            else:
                cells.append(shares(false_alarms(rows, truths, times, new)))
        told = "unequal" if noise is UNEQUAL else f"{noise[0]:g}"
        yield line(methods, rows, told, *cells)
    yield from titled(
        "Of 7 methods one leads, 1,520 rows, %: others told worse / put out of those that may be "
        "the best / the leader put out",
        ["lead (points)", "3 runs, sd .5", "3 runs, sd 1", "5 runs, sd 1"],
    )
    for lead in (1, 2, 3):
        cells = []
        for seeds, sd in ((3, 0.5), (3, 1.0), (5, 1.0)):
            truths = [Truth(seeds, sd, ACCURACY + POINT * lead), *[Truth(seeds, sd)] * 6]
            cells.append(shares(gap_seen(1520, truths, effort.times(200))))
        yield line(lead, *cells)


def power_tables(effort: Effort) -> Iterable[str]:
    """Yield whether the power is what is said, and the number of seeds wanted."""
    yield from titled(
        "Two methods: smallest difference seen (80 wanted) / equal within the margin (80 wanted) / "
        "false equal (at most 5), %",
        ["rows", "runs", "sd .5", "sd 1"],
    )
    for rows in effort.rows[1:3]:
        for seeds in (2, 3, 5):
            cells = [shares(power(rows, seeds, sd, effort.times(400))) for sd in (0.5, 1.0)]
            yield line(rows, seeds, *cells)
    yield from titled(
        "Runs said to show a difference, from 3 runs at 1,520 rows, sd 1: 10 % / 50 % / 90 % of "
        "tables (true number)",
        ["points", "7 methods", "2 methods"],
    )
    for points in (1.5, 2.0, 3.0):
        cells = [
            told_seeds(1520, 3, 1.0, POINT * points, methods, effort.times(200))
            for methods in (7, 2)
        ]
        truth = [true_seeds(1520, 3, 1.0, POINT * points, methods) for methods in (7, 2)]
        yield line(points, *(f"{shares(cell)} ({true:.0f})"
                             for cell, true in zip(cells, truth, strict=True)))  # fmt: skip


def ratio_tables(effort: Effort) -> Iterable[str]:
    """Yield coverage of ratios of costs."""
    yield from titled(
        "Coverage of a ratio of 1.3 (half width in %)",
        ["runs", "own spread", "that of 7 methods", "own, drift 3 % a run"],
    )
    for seeds in SEEDS:
        cells = [
            ratios(seeds, drift, effort.times(2000), lent)
            for drift, lent in ((0.0, False), (0.0, True), (0.03, False))
        ]
        yield line(seeds, *(f"{mean:.1f} ({half:.0f})" for mean, half in cells))


TABLES: tuple[Callable[[Effort], Iterable[str]], ...] = (
    ratio_tables, power_tables, verdict_tables, coverage_tables,
)  # fmt: skip


def titled(title: str, head: Sequence[str]) -> list[str]:
    """Return the first lines of a Markdown table."""
    return ["", title, "", line(*head), line(*["---"] * len(head))]


def line(*cells: object) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def shares(found: Iterable[float]) -> str:
    """Return percentages beside each other."""
    return " / ".join(f"{each:.0f}" for each in found)


def processor() -> str:
    """Return the name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.machine()


QUICK = Effort(0.003, (60, 242))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run at all")
    asked = parser.parse_args(arguments)
    effort = QUICK if asked.quick else Effort()
    start = time.process_time()
    for table in TABLES:
        for text in table(effort):
            print(text, flush=True)
    print(f"\n{processor()}, {time.process_time() - start:.0f} s of one processor")
    return 0


if __name__ == "__main__":
    sys.exit(main())
