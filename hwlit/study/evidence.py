"""What the runs of every method scored, row by row where their test rows are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwlit.errors import IntegrityError
from hwlit.records import Reading
from hwlit.statistics.lending import Lent, lent_noise
from hwlit.statistics.parts import Scores, scores, scores_without_rows
from hwlit.statistics.student import Z_95
from hwlit.study.collect import Run
from hwlit.study.disturbed import usable
from hwlit.study.methods import Method
from hwlit.study.row_numbers import Units, number_rows
from hwlit.study.test_rows import RowScores, RowTable, row_scores, row_table


@dataclass(frozen=True)
class Scored:
    """One reading of a method over its runs.

    Args:
        scores: Mean, parts of its variance and, where they are known, rows.
        why_no_rows: Why it does not rest on test rows; None where it does.
        rarest: How many rows the rarest class has, where classes are weighed; else None.
    """

    scores: Scores
    why_no_rows: str | None
    rarest: int | None = None


@dataclass(frozen=True)
class _Rows:
    """What the rows of one run contribute, by the numbers of these rows and of their groups."""

    rows: Units
    groups: Units | None
    scores: RowScores


class Evidence:
    """Reads each run's test rows once, and gives rows that are the same one number.

    Args:
        methods: All methods of a comparison.
        left_out: Takes the files that cannot be used, and why, as they are met.
    """

    def __init__(self, methods: Sequence[Method], left_out: list[tuple[Path, str]]) -> None:
        self._methods, self._left_out = methods, left_out
        self._scores: dict[tuple[int, str], RowScores | None] = {}
        self._tables = {id(run): self._read(run) for method in methods for run in method.runs}
        self._numbers = number_rows(methods, self._tables)
        self._known: dict[tuple[int, str], Scored | None] = {}
        self._lent: dict[tuple[object, str], Lent | None] = {}

    def scored(self, method: Method, name: str) -> Scored | None:
        """Return a reading of a method; None where no run has it, or in other units."""
        key = id(method), name
        if key not in self._known:
            self._known[key] = self._scored(method, name)
        return self._known[key]

    def lent(self, method: Method, name: str) -> Lent | None:
        """Return the noise of training that methods on the same data show in a reading.

        It is lent to methods whose runs share their test rows.
        """
        key = method.world, name
        if key not in self._lent:
            alike = [each for each in self._methods if each.world == method.world]
            found = [self.scored(each, name) for each in alike]
            self._lent[key] = lent_noise(
                [one.scores.parts for one in found if one and one.scores.parts.same_rows]
            )
        own = self.scored(method, name)
        return self._lent[key] if own is not None and own.scores.parts.same_rows else None

    def _scored(self, method: Method, name: str) -> Scored | None:
        known = [
            (run, reading)
            for run in usable(method.runs, name)
            if (reading := run.record.readings.get(name)) is not None
        ]
        if len({reading.unit for _, reading in known}) != 1:
            return None
        values = [reading.value for _, reading in known]
        rows = [self._rows(run, name) for run, _ in known]
        found = [one for one in rows if one is not None]
        if len(found) == len(known):
            rarest = [one.scores.rarest for one in found if one.scores.rarest is not None]
            return Scored(_by_rows(found), None, min(rarest, default=None))
        why = "a run has no figures by test row" if found else "no figures by test row"
        n = [reading.n for _, reading in known if reading.n is not None]
        made = scores_without_rows(
            values, [_variance(reading) for _, reading in known], min(n, default=0)
        )
        return Scored(made, why)

    def _rows(self, run: Run, name: str) -> _Rows | None:
        found = self._scores.get((id(run), name))
        if found is None or self._tables[id(run)] is None:
            return None
        numbers = self._numbers[id(run)]
        groups = None if numbers.groups is None else numbers.groups[found.there]
        return _Rows(numbers.rows[found.there], groups, found)

    def _read(self, run: Run) -> RowTable | None:
        """Return a run's test rows, if all that its record says of them is so."""
        try:
            if (table := row_table(run.record, run.folder)) is not None:
                for name, reading in run.record.readings.items():
                    if reading.rows is not None:
                        self._scores[id(run), name] = row_scores(table, name, reading)
            return table
        except IntegrityError as error:
            told = run.record.test_rows
            name = told.file if told is not None and told.file else "record.json"
            self._left_out.append(((run.folder or Path()) / name, str(error)))
            return None


def _variance(reading: Reading) -> float | None:
    """Return the variance of a value over its test rows, as far as its run tells it."""
    if reading.variance is not None:
        return reading.variance
    if reading.low is None or reading.high is None or reading.how.tag == "estimated":
        return None
    return ((reading.high - reading.low) / 2 / Z_95) ** 2


def _by_rows(runs: Sequence[_Rows]) -> Scores:
    """Return what a method's runs scored; pictures of a single prompt are rows of their own."""
    groups = [one.groups for one in runs if one.groups is not None]
    grouped = len(groups) == len(runs) and len(np.unique(np.concatenate(groups))) > 1
    hits = [one.scores.hits for one in runs if one.scores.hits is not None]
    return scores(
        [one.rows for one in runs],
        [one.scores.values for one in runs],
        groups if grouped else None,
        hits if len(hits) == len(runs) else None,
    )
