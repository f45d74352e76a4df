"""Whether one method is better than another, by the test rows that both saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwlit.errors import IntegrityError
from hwlit.metrics.paired import Difference, apart, crossed_difference, holm, mcnemar
from hwlit.study.collect import Run
from hwlit.study.methods import Method
from hwlit.study.pooling import pooled
from hwlit.study.row_scores import RowScores, row_scores

LEVEL = 0.05  # a p value from here on is a tie


@dataclass(frozen=True)
class Verdict:
    """One method against another.

    Args:
        difference: First less second; None where nothing can be said.
        word: "better", "worse" or "tie"; None without a p value.
        reason: Why it is not paired, or why there is no word.
        p_adjusted: The p value by Holm's method over all comparisons of the table; what the word
            rests on.
    """

    difference: Difference | None
    word: str | None = None
    reason: str | None = None
    p_adjusted: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        difference = None if self.difference is None else vars(self.difference)
        return {**vars(self), "difference": difference}


class Judge:
    """Compares methods by one metric; reads each run's test rows once.

    Args:
        metric: Name of the reading.
        mode: "max" or "min".
        left_out: Takes the files of test rows that cannot be used, and why, as they are met.
    """

    def __init__(self, metric: str, mode: str, left_out: list[tuple[Path, str]]) -> None:
        self._metric, self._sign = metric, 1 if mode == "max" else -1
        self._rows: dict[int, RowScores | None] = {}
        self._left_out = left_out

    def judge(self, methods: Sequence[Method], against: Method) -> list[Verdict]:
        """Return the verdict on each method against one, adjusted for how many there are."""
        verdicts = [self._compare(method, against) for method in methods]
        told = [v.difference.p for v in verdicts if v.difference and v.difference.p is not None]
        adjusted = iter(holm(told))
        return [
            self._worded(v, next(adjusted)) if v.difference and v.difference.p is not None else v
            for v in verdicts
        ]

    def _worded(self, verdict: Verdict, p: float) -> Verdict:
        assert verdict.difference is not None
        more = self._sign * verdict.difference.mean > 0
        word = "tie" if p >= LEVEL else "better" if more else "worse"
        return replace(verdict, word=word, p_adjusted=p)

    def _compare(self, first: Method, second: Method) -> Verdict:
        if first.source != second.source:
            return Verdict(None, reason="other data")
        seeds = {run.seeds: run for run in second.runs}
        runs = [(run, seeds[run.seeds]) for run in first.runs if run.seeds in seeds]
        pairs = [(self._of(one), self._of(other)) for one, other in runs]
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        matching = [(one, other) for one, other in known if one.matches(other)]
        if matching and len(matching) == len(pairs):
            return Verdict(self._paired(matching))
        if not runs:
            reason = "not paired: no seed in common"
        elif not known:
            reason = "not paired: no figures by test row"
        elif len(known) < len(pairs):
            reason = "not paired: a run has no figures by test row"
        else:
            reason = "not paired: other test rows"
        return self._unpaired(first, second, reason)

    def _of(self, run: Run) -> RowScores | None:
        if id(run) not in self._rows:
            try:
                self._rows[id(run)] = row_scores(run, self._metric)
            except IntegrityError as error:
                self._rows[id(run)] = None
                self._left_out.append((Path(run.folder or "", "predictions.csv"), str(error)))
        return self._rows[id(run)]

    def _paired(self, pairs: Sequence[tuple[RowScores, RowScores]]) -> Difference:
        differences = [one.scores - other.scores for one, other in pairs]
        found = crossed_difference([one.ids for one, _ in pairs], differences)
        if len(pairs) > 1 or self._metric != "test/accuracy":
            return found
        only_first, only_second = (int((differences[0] == sign).sum()) for sign in (1, -1))
        return replace(found, p=mcnemar(only_first, only_second), test="McNemar, exact")

    def _unpaired(self, first: Method, second: Method, reason: str) -> Verdict:
        one, other = pooled(first, self._metric), pooled(second, self._metric)
        if one is None or other is None:
            return Verdict(None, reason=f"{self._metric} is missing")
        mean = one.value - other.value

        if one.low is None or one.high is None or other.low is None or other.high is None:
            rest = Difference(mean, None, None, None, "none", 0, 0)
            return Verdict(rest, reason=f"{reason}, no interval")
        low, high, p = apart((one.value, one.low, one.high), (other.value, other.low, other.high))
        return Verdict(Difference(mean, low, high, p, "intervals", 0, 0), reason=reason)
