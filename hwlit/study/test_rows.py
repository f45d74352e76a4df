"""The test rows of a run, read by what its record says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwlit.bounded_files import read_lines
from hwlit.errors import IntegrityError
from hwlit.records import Reading, Record, TestRows
from hwlit.run_directory import check_plain_file
from hwlit.statistics.combining import rarest_class, row_hits, row_values

NEARLY = 1.5  # rows: fp32 ties may break differently
ROUNDING = 1e-4  # of the largest value: a column is written with fewer digits than it was summed in
ROW_ID, GROUP = "row_id", "group"
AT_ONCE = 1000  # rows of a file that are turned into columns
NONE = ("", None)  # of a row to which a column does not apply


@dataclass(frozen=True)
class RowTable:
    """The test rows of one run.

    Args:
        ids: Row ids, ascending, each once, (n,).
        groups: The group of each row, (n,) strings; None where no rows are alike.
        truths: The right answer of each row, (n,) strings; None where there is none.
        columns: The counts by name, each (n,): numbers, NaN where a row has none, or class ids.
        file: Where they are from.
    """

    ids: NDArray[np.int64]
    groups: NDArray[np.str_] | None
    truths: NDArray[np.str_] | None
    columns: Mapping[str, NDArray[np.generic]]
    file: Path


@dataclass(frozen=True)
class RowScores:
    """What each test row contributes to one reading.

    Args:
        values: Values whose mean is the reading, (rows that have any,).
        hits: 1 for a row that is right and 0 for one that is wrong, likewise; None where rows are
            neither.
        there: Which of the run's rows have a value, (n,).
        rarest: How many rows the rarest class has, where classes are weighed; else None.
    """

    values: NDArray[np.float64]
    hits: NDArray[np.float64] | None
    there: NDArray[np.bool_]
    rarest: int | None = None


def row_table(record: Record, folder: Path | None) -> RowTable | None:
    """Return a run's test rows; None where it has none, or their file is gone.

    Args:
        record: The run's record.
        folder: Its directory.

    Raises:
        IntegrityError: The rows cannot be read, or are not as many as the record says.
    """
    told = record.test_rows
    if told is None:
        return None
    path = (folder or Path()) / (told.file or "record.json")
    if told.file is None:
        columns = told.values
    elif folder is None or Path(told.file).name != told.file:
        return None
    else:
        check_plain_file(path)
        try:
            columns = _read(path, told)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError) as error:
            raise IntegrityError(_unreadable(told, error)) from None
    try:
        return _table(columns, told, record.model.labels or (), path)
    except (ValueError, LookupError, OverflowError, TypeError) as error:
        raise IntegrityError(_unreadable(told, error)) from None


def row_scores(table: RowTable, name: str, reading: Reading) -> RowScores | None:
    """Return what each row contributes to a reading; None where the reading is not of rows.

    Args:
        table: The run's test rows.
        name: Name of the reading.
        reading: The reading.

    Raises:
        IntegrityError: The rows are not those of the reading.
    """
    if reading.rows is None:
        return None
    how = reading.rows.combination
    try:
        columns = [table.columns[column] for column in reading.rows.columns]
    except KeyError as error:
        raise IntegrityError(f"{name} rests on column {error}, which the rows lack") from None
    there = ~np.any([np.isnan(column) for column in columns], axis=0)
    columns = [column[there] for column in columns]
    hits = row_hits(how, columns)
    value, values = row_values(how, columns)
    if abs(value - reading.value) > _slack(values, hits is not None):
        raise IntegrityError(
            f"its {len(values)} rows give {name} {value:.4f}, where the record has "
            f"{reading.value:.4f}"
        )
    return RowScores(values, hits, there, rarest_class(how, columns))


def _unreadable(told: TestRows, error: Exception) -> str:
    names = [ROW_ID, *dict.fromkeys([*([told.truth] if told.truth else []), *told.columns])]
    return f"not readable as rows that all have {', '.join(names[:-1])} and {names[-1]} ({error})"


def _read(path: Path, told: TestRows) -> dict[str, list[Any]]:
    """Return the columns that count; a text among them is not kept."""
    names = [ROW_ID, *told.columns, *([told.truth] if told.truth else [])]
    names = list(dict.fromkeys(names))
    lines = read_lines(path)
    places = {name: place for place, name in enumerate(next(lines, []))}
    first = next(lines, None)
    if first is None:
        return {name: [] for name in names}
    if GROUP in places:
        names.append(GROUP)
    kept: dict[str, list[Any]] = {name: [] for name in names}
    pick = itemgetter(*(places[name] for name in names), places[ROW_ID])  # of one it makes no tuple
    rows = map(pick, chain([first], lines))
    while some := list(islice(rows, AT_ONCE)):
        for column, more in zip(kept.values(), zip(*some, strict=True), strict=False):
            column.extend(more)
    return kept


def _table(
    columns: Mapping[str, Sequence[Any]], told: TestRows, labels: Sequence[str], path: Path
) -> RowTable:
    ids = _ids(columns, told.n)
    if len(ids) != told.n:
        raise IntegrityError(f"there are {len(ids)} rows, where the record has {told.n}")
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        raise IntegrityError("a row_id is there twice")
    if len(ids) and ids[0] < 0:
        raise IntegrityError(f"a row_id is {ids[0]}, below 0")
    known = {label: number for number, label in enumerate(labels)}
    counts = {
        name: _numbers(columns[name], kind, known)[order] for name, kind in told.columns.items()
    }
    truths, groups = (
        _texts(columns[name])[order] if name is not None and name in columns else None
        for name in (told.truth, GROUP)
    )
    if any(len(column) != len(ids) for column in columns.values()):
        raise ValueError("columns are of different lengths")
    return RowTable(ids, groups, truths, counts, path)


def _ids(columns: Mapping[str, Sequence[Any]], n: int) -> NDArray[np.int64]:
    if ROW_ID not in columns:  # of schema 1, whose record lists its prompts in their order
        return np.arange(min(n, len(next(iter(columns.values()), ()))))
    return np.array(list(map(int, columns[ROW_ID])), np.int64)


def _numbers(column: Sequence[Any], kind: str, known: dict[str, int]) -> NDArray[np.generic]:
    if kind == "class":
        texts = list(map(str, column))
        for label in dict.fromkeys(texts):
            known.setdefault(label, len(known))
        if any(none in column for none in NONE):
            raise ValueError("a class column has an empty cell")
        return np.array([known[text] for text in texts], np.int64)
    whole = not any(none in column for none in NONE)
    there = np.ones(len(column), bool) if whole else np.array([v not in NONE for v in column])
    numbers = np.full(len(column), np.nan)
    given = column if whole else [value for value in column if value not in NONE]
    known_ones = numbers[there] = np.array(given).astype(float)
    if not np.isfinite(known_ones).all():
        raise ValueError(f"a {kind} column holds what is not finite")
    if kind == "binary" and not np.isin(known_ones, (0, 1)).all():
        raise ValueError("a binary column holds other than 0 and 1")
    return numbers


def _texts(column: Sequence[Any]) -> NDArray[np.str_]:
    return np.array(list(map(str, column)), np.str_)


def _slack(values: NDArray[np.float64], counts: bool) -> float:
    """Return by how much a record may differ from its rows."""
    rounding = ROUNDING * float(np.abs(values).max())
    one = max(1.0, float(np.ptp(values))) / len(values)  # what one row can be worth
    return rounding + (NEARLY * one if counts else 0.0)
