"""What the test rows and seeds of a table say of every pair of its methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwlit.records import Direction
from hwlit.statistics.best import Comparisons, compare_all
from hwlit.statistics.differences import Difference
from hwlit.statistics.parts import Scores
from hwlit.statistics.power import (
    More,
    Word,
    how_many_more,
    least_margin,
    margin_for_equal,
    smallest_difference,
    word,
)
from hwlit.study.evidence import Evidence
from hwlit.study.methods import Method


@dataclass(frozen=True)
class Verdict:
    """One method against another.

    Interval, p value and word come from one test, adjusted once for all pairs of the table.

    Args:
        word: "equal", "better", "worse" or "not told apart"; None where there is too little to
            tell.
        difference: First less second; None where one has no such figure.
        reason: Why it is not paired by test rows, or why there is no word.
        smallest: The difference that this comparison would show four times in five.
        within: The least margin within which the two are shown to be equal.
        more: About how many more seeds or rows would tell; None where the word is not
            "not told apart".
        wanted: The difference that these would tell.
        width: The greatest difference that there can be.
    """

    word: Word | None
    difference: Difference | None
    reason: str | None = None
    smallest: float | None = None
    within: float | None = None
    more: More | None = None
    wanted: float | None = None
    width: float = float("inf")

    @property
    def mean(self) -> float | None:
        """First less second."""
        return None if self.difference is None else self.difference.mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, adjusted for all pairs, as far as such differences can be."""
        found = self.difference
        if found is None or found.low is None or found.high is None:
            return None
        return max(found.low, -self.width), min(found.high, self.width)

    @property
    def of_these_runs(self) -> bool:
        """Whether it speaks of the trained models only, and not of their methods."""
        return self.difference is not None and self.difference.of_these_runs

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        found = self.difference
        told: dict[str, Any] = {"word": self.word, "reason": self.reason}
        if found is not None:
            low, high = self.interval or (None, None)
            told |= {
                "difference": found.mean, "low": low, "high": high, "p": found.p,
                "test": found.test, "pairs": found.pairs, "paired": found.paired,
                "df": found.freedom if found.freedom < float("inf") else None,
                "variance": found.variance, "seeds": found.seeds, "rows": found.rows,
                "of_these_runs": found.of_these_runs,
            }  # fmt: skip
        told |= {"smallest_difference": self.smallest, "equal_within": self.within}
        if self.more is not None:
            told["more"] = {"to_show": self.wanted, "seeds": self.more.seeds,
                            "rows": self.more.rows}  # fmt: skip
        return told


class Verdicts:
    """Compares every method with every other, once.

    Args:
        methods: Those that may be compared: of one task, on the same data.
        metric: Name of the reading.
        direction: Whether more (max) or less (min) of it is better.
        margin: How great a difference is still as good as none; None where nobody says.
        evidence: What is known of the test rows.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        metric: str,
        direction: Direction,
        margin: float | None,
        evidence: Evidence,
    ) -> None:
        self.metric, self.margin, self._higher = metric, margin, direction == "max"
        self._scored = {
            method.label: scored
            for method in methods
            if (scored := evidence.scored(method, metric)) is not None
        }
        self._all = compare_all(
            {label: scored.scores for label, scored in self._scored.items()}, self._higher
        )
        self._known: dict[tuple[str, str], Verdict] = {}
        self._width = _width(methods, metric)

    @property
    def pairs(self) -> int:
        """How many pairs the p values are adjusted for."""
        return max((found.pairs for found in self._all.differences.values()), default=0)

    @property
    def comparisons(self) -> Comparisons:
        """All differences, and which methods may be the best."""
        return self._all

    def scores(self, method: Method) -> Scores | None:
        """Return what a method scored; None where it has no such figure."""
        scored = self._scored.get(method.label)
        return None if scored is None else scored.scores

    def may_be_best(self, method: Method) -> bool:
        """Return whether a method is not shown to be below the best."""
        return method.label in self._all.may_be_best

    def between(self, first: Method, second: Method) -> Verdict:
        """Return the verdict on one method against another, always the same one."""
        return self._verdict(first.label, second.label)

    def _verdict(self, first: str, second: str) -> Verdict:
        key = first, second
        if key not in self._known:
            self._known[key] = self._between(*key)
        return self._known[key]

    def may_be_best_of(self, methods: Sequence[Method]) -> list[Method]:
        """Return those of some methods that are not shown to be below the best of them."""
        own = {
            method.label: self._scored[method.label].scores
            for method in methods
            if method.label in self._scored
        }
        told = self._all if own.keys() == self._scored.keys() else compare_all(own, self._higher)
        return [method for method in methods if method.label in told.may_be_best]

    def worse_by(self, first: Method, second: Method) -> float | None:
        """Return by how much one method may be worse than another: the end of their interval."""
        found = self.between(first, second).difference
        if found is None or found.spread is None:
            return None
        ahead = found.centre if self._higher else -found.centre
        return max(0.0, (found.half or 0.0) - ahead)

    def all_pairs(self) -> list[dict[str, Any]]:
        """Return the figures of every pair as plain data."""
        told = []
        for pair, found in self._all.differences.items():
            verdict = self._verdict(*pair)
            low, high = verdict.interval or (None, None)
            told.append(
                {
                    "first": pair[0], "second": pair[1], "difference": found.mean, "low": low,
                    "high": high, "p": found.p, "word": verdict.word,
                }
            )  # fmt: skip
        return told

    def _between(self, first: str, second: str) -> Verdict:
        if first not in self._scored or second not in self._scored:
            return Verdict(None, None, f"{self.metric} is missing")
        found = self._all.pair(first, second)
        said = word(found, self.margin or 0.0, self._higher)
        reason = None if found.paired else self._why_not_paired(first, second)
        if said is None:
            return Verdict(None, found, ", ".join(filter(None, (reason, "no interval"))),
                           width=self._width)  # fmt: skip
        smallest, within = (
            None if end is None else min(end, self._width)
            for end in (smallest_difference(found), least_margin(found))
        )
        return Verdict(said, found, reason, smallest, within, *self._more(found, said), self._width)

    def _more(self, found: Difference, said: Word) -> tuple[More | None, float | None]:
        wanted = max(abs(found.mean), self.margin or 0.0)
        if said != "not told apart" or not wanted:
            return None, None
        lent = self._all.lent
        return how_many_more(found, wanted, methods=0 if lent is None else lent.methods), wanted

    def _why_not_paired(self, first: str, second: str) -> str:
        own = [self._scored[label].why_no_rows for label in (first, second)]
        why = next((each for each in own if each is not None), "no test row in common")
        return f"not paired: {why}"

    @cached_property
    def reach(self) -> tuple[float, More] | None:
        """Return within how much this table can tell equal, and how many more would tell.

        It is the pair in the middle that counts.

        Returns:
            The margin, and how many more seeds or rows would tell equal within the metric's own;
            None where nothing is said of methods.
        """
        known = [
            found for found in self._all.differences.values()
            if found.spread is not None and not found.of_these_runs
        ]  # fmt: skip
        if not known:
            return None
        known.sort(key=lambda found: found.variance)
        found = known[len(known) // 2]
        margin = margin_for_equal(found)
        assert margin is not None
        margin = min(margin, self._width)
        methods = 0 if self._all.lent is None else self._all.lent.methods
        more = (
            More(None, None) if not self.margin
            else how_many_more(found, self.margin, equal=True, methods=methods)
        )  # fmt: skip
        return margin, more


def _width(methods: Sequence[Method], metric: str) -> float:
    """Return the greatest difference that two values of a metric can have."""
    known = [run.record.readings.get(metric) for method in methods for run in method.runs]
    low, high = next((one.measure.bounds for one in known if one is not None), (None, None))
    return float("inf") if low is None or high is None else high - low
