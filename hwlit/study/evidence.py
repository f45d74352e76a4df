"""What the runs of every method scored, row by row where their test rows are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwlit.errors import IntegrityError
from hwlit.records import Reading
from hwlit.statistics.lending import Lent, lent_noise
from hwlit.statistics.parts import Scores, scores, scores_without_rows
from hwlit.study.collect import Run
from hwlit.study.disturbed import usable
from hwlit.study.methods import Method
from hwlit.study.test_rows import RowScores, RowTable, row_scores, row_table

Z_95 = 1.959963984540054
Units = NDArray[np.int64]


@dataclass(frozen=True)
class Scored:
    """One reading of a method over its runs.

    Args:
        scores: Mean, parts of its variance and, where they are known, rows.
        why_no_rows: Why it does not rest on test rows; None where it does.
    """

    scores: Scores
    why_no_rows: str | None


class Evidence:
    """Reads each run's test rows once, and gives rows that are the same one number.

    Args:
        methods: All methods of a comparison.
        left_out: Takes the files that cannot be used, and why, as they are met.
    """

    def __init__(self, methods: Sequence[Method], left_out: list[tuple[Path, str]]) -> None:
        self._methods, self._left_out = methods, left_out
        self._tables = {id(run): self._read(run) for method in methods for run in method.runs}
        self._units = _units(methods, self._tables)
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
        rows = [self._rows(run, name, reading) for run, reading in known]
        found = [one for one in rows if one is not None]
        if len(found) == len(known):
            units, each, grouped = zip(*found, strict=True)
            hits = [one.hits for one in each]
            made = scores(
                units, [one.values for one in each], list(units) if any(grouped) else None,
                None if any(one is None for one in hits) else hits,
            )  # fmt: skip
            return Scored(made, None)
        why = "a run has no figures by test row" if found else "no figures by test row"
        n = [reading.n for _, reading in known if reading.n is not None]
        made = scores_without_rows(
            values, [_variance(reading) for _, reading in known], min(n, default=0)
        )
        return Scored(made, why)

    def _rows(self, run: Run, name: str, reading: Reading) -> tuple[Units, RowScores, bool] | None:
        table = self._tables[id(run)]
        if table is None:
            return None
        try:
            found = row_scores(table, name, reading)
        except IntegrityError as error:
            self._tables[id(run)] = None
            self._left_out.append((table.file, str(error)))
            return None
        return None if found is None else (self._units[id(run)], found, table.groups is not None)

    def _read(self, run: Run) -> RowTable | None:
        try:
            return row_table(run.record, run.folder)
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


def _units(methods: Sequence[Method], tables: dict[int, RowTable | None]) -> dict[int, Units]:
    """Return a number for each row of each run, equal just where rows (or groups) are the same.

    The same row has the same data, id and right answer; where answers differ, the data do.
    """
    worlds: dict[object, list[_World]] = {}
    places: dict[int, tuple[_World, RowTable]] = {}
    for method in methods:
        own = worlds.setdefault(method.world, [])
        for run in method.runs:
            if (table := tables[id(run)]) is None:
                continue
            key = _key(table)
            world = next((w for w in own if w.takes(key, table)), None)
            if world is None:
                world = _World()
                world.takes(key, table)
                own.append(world)
            places[id(run)] = world, table
    first = 0
    for world in dict.fromkeys(world for world, _ in places.values()):
        first = world.number(first)
    return {place: world.units(_key(table), table) for place, (world, table) in places.items()}


def _key(table: RowTable) -> tuple[int, ...]:
    parts = (table.ids, table.truths, table.groups)
    return tuple(0 if part is None else hash(part.tobytes()) for part in parts)


class _World:
    """Runs whose test rows agree wherever they have the same id."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, ...]] = set()
        self._ids = np.empty(0, np.int64)
        self._answers = np.empty(0, np.str_)
        self._names: NDArray[np.generic] = np.empty(0, np.int64)
        self._tables: list[RowTable] = []
        self._first = 0
        self._cache: dict[tuple[int, ...], Units] = {}

    def takes(self, key: tuple[int, ...], table: RowTable) -> bool:
        """Add a run's rows, and return whether they agree with those that are there."""
        if key in self._keys:
            return True
        answers = _answers(table)
        _, mine, theirs = np.intersect1d(
            table.ids, self._ids, assume_unique=True, return_indices=True
        )
        grouped = {one.groups is not None for one in self._tables} | {table.groups is not None}
        if len(grouped) > 1 or not np.array_equal(answers[mine], self._answers[theirs]):
            return False
        new = np.ones(len(table.ids), bool)
        new[mine] = False
        ids = np.concatenate([self._ids, table.ids[new]])
        order = np.argsort(ids)
        self._ids = ids[order]
        self._answers = np.concatenate([self._answers, answers[new]])[order]
        self._keys.add(key)
        self._tables.append(table)
        return True

    def number(self, first: int) -> int:
        """Take numbers from one on, and return the next free one."""
        self._first = first
        groups = [one.groups for one in self._tables if one.groups is not None]
        self._names = np.unique(np.concatenate(groups)) if groups else self._ids
        return first + len(self._names)

    def units(self, key: tuple[int, ...], table: RowTable) -> Units:
        """Return the numbers of a run's rows."""
        if key not in self._cache:
            own = table.ids if table.groups is None else table.groups
            self._cache[key] = self._first + np.searchsorted(self._names, own).astype(np.int64)
        return self._cache[key]


def _answers(table: RowTable) -> NDArray[np.str_]:
    """Return what must be equal where two rows are the same: group and right answer."""
    nothing = np.full(len(table.ids), "", np.str_)
    truths = nothing if table.truths is None else table.truths
    groups = nothing if table.groups is None else table.groups
    return np.char.add(np.char.add(groups, "\n"), truths)
