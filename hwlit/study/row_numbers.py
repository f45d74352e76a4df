"""Which test rows of several runs are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlit.study.methods import Method
from hwlit.study.test_rows import RowTable

Units = NDArray[np.int64]


@dataclass(frozen=True)
class RowNumbers:
    """Numbers that are equal just where rows are the same.

    Args:
        rows: Of each row, (n,).
        groups: Of the group of each row, (n,); None where no rows are alike.
    """

    rows: Units
    groups: Units | None


def number_rows(
    methods: Sequence[Method], tables: Mapping[int, RowTable | None]
) -> dict[int, RowNumbers]:
    """Return numbers for the rows of each run, by the identity of the run.

    The same row has the same task, data, id, group and right answer; where answers differ, the
    data do.

    Args:
        methods: All methods of a comparison.
        tables: The test rows of each run, by its identity; None where there are none.
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
    return {place: world.numbers(_key(table), table) for place, (world, table) in places.items()}


def _key(table: RowTable) -> tuple[int, ...]:
    parts = (table.ids, table.truths, table.groups)
    return tuple(0 if part is None else hash(part.tobytes()) for part in parts)


class _World:
    """Runs whose test rows agree wherever they have the same id."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, ...]] = set()
        self._ids = np.empty(0, np.int64)
        self._answers = np.empty(0, np.str_)
        self._names = np.empty(0, np.str_)
        self._tables: list[RowTable] = []
        self._first = 0
        self._cache: dict[tuple[int, ...], RowNumbers] = {}

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
        self._names = np.unique(np.concatenate(groups)) if groups else self._names
        return first + len(self._ids) + len(self._names)

    def numbers(self, key: tuple[int, ...], table: RowTable) -> RowNumbers:
        """Return the numbers of a run's rows."""
        if key not in self._cache:
            rows = self._first + np.searchsorted(self._ids, table.ids).astype(np.int64)
            groups = None
            if table.groups is not None:
                places = np.searchsorted(self._names, table.groups).astype(np.int64)
                groups = self._first + len(self._ids) + places
            self._cache[key] = RowNumbers(rows, groups)
        return self._cache[key]


def _answers(table: RowTable) -> NDArray[np.str_]:
    """Return what must be equal where two rows are the same: group and right answer."""
    nothing = np.full(len(table.ids), "", np.str_)
    truths = nothing if table.truths is None else table.truths
    groups = nothing if table.groups is None else table.groups
    return np.char.add(np.char.add(groups, "\n"), truths)
