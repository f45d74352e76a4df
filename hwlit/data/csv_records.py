"""The strict CSV parser: no record lost, none changed, or a refusal that names the lines.

Python's `csv` module in strict mode, everything kept as text. What strict mode cannot see, two
stray quotes that swallow the rows between them, is found by looking at the lines themselves. Blank
lines are no records, as for pandas and `csv.DictReader`.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwlit.data.columns import delimiter_by_names, other_delimiter
from hwlit.data.dialects import DELIMITERS, Dialect, delimiter_name
from hwlit.errors import DataError

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")
# Such a first line tells Excel what parts the columns.
_STATED = re.compile(r"(\"?)sep=(.)\1[\r\n]*", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """One record of a CSV file, and its first and last line, from 1."""

    first: int
    last: int
    fields: list[str]


@dataclass(frozen=True)
class Records:
    """What a CSV file holds.

    Args:
        names: The names of the columns.
        records: The records, which have one field for each of them.
        delimiter: What parts the fields.
        notes: How it was read, where the file itself decided that.
    """

    names: list[str]
    records: list[Record]
    delimiter: str
    notes: tuple[str, ...]


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text with their ends, which are \n, \r and \r\n and nothing else."""
    return _LINE.findall(text)  # io.StringIO would copy the text, at four bytes a character


def read_records(
    path: Path,
    lines: list[str],
    dialect: Dialect,
    usual: str,
    wanted: Collection[str],
    check: Callable[[list[str], str], None],
) -> Records:
    """Parse the lines of a CSV file.

    Args:
        path: The file, for the refusal.
        lines: Its lines.
        dialect: How it is written.
        usual: What parts the fields where neither the dialect nor the file says.
        wanted: The columns that are read. A first record with all these names is a header, even
            where the dialect has names for a file without one.
        check: Given the names of the columns and the delimiter, refuses them. It is asked before
            the rows are parsed: what is wrong with the header is often wrong with all of them.

    Raises:
        DataError: A record is broken, or `check` refused.
    """
    stated = _stated_delimiter(path, lines, dialect)
    delimiter = stated or dialect.delimiter or usual
    notes = [f"columns parted by {delimiter_name(delimiter)}, as line 1 says"] if stated else []
    with _fields_of_any_size():
        parsed = _parsed(path, lines, 0 if stated is None else 1, delimiter, dialect, wanted)
        first = next((r for r in parsed if dialect.columns or not _is_blank(r, lines)), None)
        if first is None:
            raise DataError(f"{path} has no rows; give a file with at least one row")
        has_header = dialect.columns is None or {*wanted} <= {*first.fields}
        names = list(first.fields if dialect.columns is None or has_header else dialect.columns)
        if dialect.columns is not None and has_header:
            notes.append("columns named by its first line")
        check(names, delimiter)
        records = [*([] if has_header else [first]), *parsed]
    if len(names) > 1:
        records = [record for record in records if not _is_blank(record, lines)]
    if not records:
        raise DataError(f"{path} has a header but no rows; give a file with at least one row")
    names = _fitted(path, names, records, delimiter, dialect)
    notes += _strays(names, records)
    return Records(names, records, delimiter, tuple(notes))


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
    found: Records,
    lines: list[str],
    known: Mapping[int, Callable[[str], bool]],
    dialect: Dialect,
) -> None:
    """Refuse records over several lines of which one is a whole record by itself.

    Args:
        path: The file, for the refusal.
        found: Its records.
        lines: Its lines.
        known: Tests of fields, by number, that every record passes; without any, nothing is
            refused, for then a line of a text cannot be told from a record.
        dialect: How it is written.

    Raises:
        DataError: One is; the message names its lines.
    """
    delimiter = found.delimiter

    def looks_whole(line: str) -> bool:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error:
            return False
        return len(fields) == len(found.names) and all(test(fields[i]) for i, test in known.items())

    with _fields_of_any_size():
        for record in found.records:
            if record.first < record.last and any(
                map(looks_whole, _suspects(record, lines, delimiter, known))
            ):
                raise DataError(
                    f"{path}: lines {record.first} to {record.last} are one record by their "
                    "quotes, but hold whole records by themselves; remove the stray quotes in "
                    "these lines (if they are one text, give it as .jsonl)"
                    + dialect.or_flag("quotes", "none where quotes are part of the texts")
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


def _stated_delimiter(path: Path, lines: list[str], dialect: Dialect) -> str | None:
    """Return the delimiter that a file's first line `sep=;` states.

    Raises:
        DataError: It is none that is read, or another one than asked for.
    """
    stated = _STATED.fullmatch(lines[0])
    if stated is None:
        return None
    if stated[2] not in DELIMITERS.values() or dialect.delimiter not in (None, stated[2]):
        asked = f"--data.delimiter {delimiter_name(dialect.delimiter)}" if dialect.delimiter else ""
        raise DataError(
            f"{path} says in line 1 that {stated[2]!r} parts its columns, but "
            f"{asked or ', '.join(DELIMITERS)} {'was given' if asked else 'are read'}; correct or "
            "remove this line"
        )
    return stated[2]


def _parsed(
    path: Path,
    lines: list[str],
    start: int,
    delimiter: str,
    dialect: Dialect,
    wanted: Collection[str],
) -> Iterator[Record]:
    """Yield the records from a line on, less lines of nothing."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quotes == "standard" else csv.QUOTE_NONE
    rest = itertools.islice(lines, start, None)
    reader = csv.reader(rest, delimiter=delimiter, quoting=quoting, strict=True)
    first = start + 1
    try:
        for fields in reader:
            last = start + reader.line_num
            if fields:
                yield Record(first, last, fields)
            first = last + 1
    except csv.Error as error:
        remedy = 'remove the stray quote or double it ("")'
        remedy += dialect.or_flag("quotes", "none where quotes are part of the texts")
        if (other := delimiter_by_names(lines[start], wanted, delimiter)) is not None:
            remedy = "part its columns by commas (.csv) or tabs (.tsv)"
            remedy += dialect.or_flag("delimiter", delimiter_name(other))
        raise DataError(
            f"{path}: the quotes of the record that starts on line {first} do not match at line "
            f"{start + reader.line_num} ({error}); {remedy}"
        ) from error


def _is_blank(record: Record, lines: list[str]) -> bool:
    """Return whether a record is a line of nothing but white space."""
    return len(record.fields) == 1 and lines[record.first - 1].isspace()


def _fitted(
    path: Path, names: list[str], records: list[Record], delimiter: str, dialect: Dialect
) -> list[str]:
    """Return the names of the columns, less unnamed ones at the end that no record has.

    Raises:
        DataError: A record has more or fewer fields than there are columns.
    """
    widths = {len(record.fields) for record in records}
    least = min(widths)
    if len(widths) == 1 and not any(names[least:]):
        names = names[:least]
    for record in records:
        if (width := len(record.fields)) == len(names):
            continue
        remedy = "quote texts that contain the delimiter or line ends"
        if width == 1 and (other := other_delimiter(record.fields, (), delimiter)) is not None:
            remedy += dialect.or_flag("delimiter", delimiter_name(other))
        elif len(widths) == 1 and not any(any(r.fields[len(names) :]) for r in records):
            remedy = "what its rows have beyond the first line is empty: add delimiters to that"
        raise DataError(
            f"{path}: line {record.first} has {width} fields instead of {len(names)} "
            f"({', '.join(names[:50])[:500]}); {remedy}"
        )
    return names


def _strays(names: list[str], records: list[Record]) -> Iterator[str]:
    """Yield a note where unnamed columns hold values in some rows: the ends of texts, perhaps.

    An unnamed column that has a value in each row, such as pandas' index, is a column of its own.
    """
    unnamed = [i for i, name in enumerate(names) if not name.strip()]
    filled = [sum(bool(r.fields[i].strip()) for r in records) for i in unnamed]
    partly = [i for i, count in zip(unnamed, filled, strict=True) if 0 < count < len(records)]
    if partly:
        rows = sum(any(r.fields[i].strip() for i in partly) for r in records)
        yield f"unnamed columns not read, with values in {rows:,} rows"


def _is_number(value: str) -> bool:
    return _NUMBER.fullmatch(value) is not None


def _quotes(line: str) -> Iterator[int]:
    return (at for at, mark in enumerate(line) if mark == '"')


def _without(line: str, at: int) -> str:
    return line[:at] + line[at + 1 :]
