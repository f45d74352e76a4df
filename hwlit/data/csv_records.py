"""The strict CSV parser: no record lost, none changed, or a refusal that names the lines.

Python's `csv` module in strict mode, everything kept as text. What strict mode cannot see, two
stray quotes that swallow the rows between them, is found by looking at the lines themselves.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwlit.errors import DataError

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")


@dataclass(frozen=True)
class Record:
    """One record of a CSV file, and its first and last line, from 1."""

    first: int
    last: int
    fields: list[str]


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text with their ends, which are \n, \r and \r\n and nothing else."""
    return _LINE.findall(text)  # io.StringIO would copy the text, at four bytes a character


def read_records(
    path: Path, lines: list[str], delimiter: str, columns: Sequence[str] | None = None
) -> tuple[list[str], list[Record]]:
    """Parse the lines of a CSV file.

    Args:
        path: The file, for the refusal.
        lines: Its lines.
        delimiter: What parts the fields.
        columns: The names of the columns of a file without a header; None takes the first record.

    Returns:
        The names of the columns, and the records, which have one field for each of them.

    Raises:
        DataError: A record is broken or a name comes twice.
    """
    with _fields_of_any_size():
        records = _parsed(path, lines, delimiter)
    names = list(records.pop(0).fields if columns is None else columns)
    check_names(path, names)
    if not records:
        raise DataError(f"{path} has a header but no rows; give a file with at least one row")
    for record in records:
        if len(record.fields) != len(names):
            raise DataError(
                f"{path}: line {record.first} has {len(record.fields)} fields instead of "
                f"{len(names)} ({', '.join(names[:50])[:500]}); quote texts that contain the "
                "delimiter or line ends"
            )
    return names, records


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse column names that come twice.

    Raises:
        DataError: One does.
    """
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(
                f"{path} has the column {name[:80]!r} twice; rename or remove one of them"
            )


def check_columns(path: Path, names: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Refuse a file that lacks a column.

    Args:
        path: The file, for the refusal.
        names: The names of its columns.
        wanted: The columns that are read; to each, what the user can do where it is missing.

    Raises:
        DataError: It does.
    """
    for column, remedy in wanted.items():
        if column not in names:
            if len(names) == 1 and any(mark in names[0] for mark in ",;|\t"):
                remedy = "part its columns by commas (.csv) or tabs (.tsv)"
            raise DataError(f"{path} has no column {column!r}, only {told_names(names)}; {remedy}")


def told_names(names: Sequence[str]) -> str:
    """Return the names of columns for people, the first of them where there are many."""
    return ", ".join(repr(name[:80]) for name in names[:50])[:500]


def known_fields(
    names: Sequence[str], records: Sequence[Record], label: str | None
) -> dict[int, Callable[[str], bool]]:
    """Return by what the fields of a record are known, from the records of one line each.

    Args:
        names: The names of the columns.
        records: The records.
        label: The column of the label, where the file has one.

    Returns:
        A test by number of the column: the label column holds the labels seen, and columns of
        numbers hold numbers. Other columns may hold anything.
    """
    sure = [record.fields for record in records if record.first == record.last]
    known: dict[int, Callable[[str], bool]] = {}
    for column, name in enumerate(names):
        seen = {fields[column] for fields in sure}
        if name == label:
            known[column] = seen.__contains__
        elif seen and all(map(_is_number, seen)):
            known[column] = _is_number
    return known


def check_swallowed(
    path: Path,
    records: Sequence[Record],
    lines: list[str],
    delimiter: str,
    width: int,
    known: Mapping[int, Callable[[str], bool]],
) -> None:
    """Refuse records over several lines of which one is a whole record by itself.

    Args:
        path: The file, for the refusal.
        records: Its records.
        lines: Its lines.
        delimiter: What parts the fields.
        width: Fields per record.
        known: Tests of fields, by number, that every record passes; without any, nothing is
            refused, for then a line of a text cannot be told from a record.

    Raises:
        DataError: One is; the message names its lines.
    """

    def looks_whole(line: str) -> bool:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:
            return False
        return len(fields) == width and all(test(fields[i]) for i, test in known.items())

    with _fields_of_any_size():
        for record in records:
            if record.first < record.last and any(
                map(looks_whole, _suspects(record, lines, delimiter, known))
            ):
                raise DataError(
                    f"{path}: lines {record.first} to {record.last} are one record by their "
                    "quotes, but hold whole records by themselves; remove the stray quotes in "
                    "these lines (if they are one text, give it as .jsonl)"
                )


def _suspects(
    record: Record, lines: list[str], delimiter: str, known: Collection[int]
) -> Iterator[str]:
    """Yield the lines of a record over several lines that might be records by themselves.

    In the first line the stray quote, which opened a field, is taken away, in the last line the one
    that closed it. Fields before the one that the first line leaves open are those of the record
    anyway, so that line tells something only where a field after it is known; the last line only
    where one before it is.
    """
    if known:
        yield from lines[record.first : record.last - 1]
    broken = [i for i, field in enumerate(record.fields) if "\n" in field or "\r" in field]
    if any(column > broken[0] for column in known):
        line = lines[record.first - 1]
        opening = (at for at in _quotes(line) if at == 0 or line[at - 1] == delimiter)
        # The bound keeps long lines quick: the field left open began at one of the last quotes.
        yield from (_without(line, at) for at in deque(opening, maxlen=20))
    if any(column < broken[-1] for column in known):
        line = lines[record.last - 1]
        closing = (
            at for at in _quotes(line) if line[at + 1 : at + 2] in (delimiter, "\r", "\n", "")
        )
        yield from (_without(line, at) for at in itertools.islice(closing, 20))


@contextlib.contextmanager
def _fields_of_any_size() -> Iterator[None]:
    limit = csv.field_size_limit(sys.maxsize)  # holds for the whole process, hence put back
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _parsed(path: Path, lines: list[str], delimiter: str) -> list[Record]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records: list[Record] = []
    first = 1
    try:
        for fields in reader:
            records.append(Record(first, reader.line_num, fields))
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: the quotes of the record that starts on line {first} do not match at line "
            f'{reader.line_num} ({error}); remove the stray quote or double it ("")'
        ) from error
    while not records[-1].fields:  # blank lines at the end are no rows
        records.pop()
    return records


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None


def _quotes(line: str) -> Iterator[int]:
    return (at for at, mark in enumerate(line) if mark == '"')


def _without(line: str, at: int) -> str:
    return line[:at] + line[at + 1 :]
