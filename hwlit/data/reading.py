"""CSV files as labelled rows: none lost, none changed, or a refusal that says where.

Python's `csv` module in strict mode, everything kept as text. What strict mode cannot see, two
stray quotes that swallow the rows between them, is found by looking at the lines themselves.
"""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwlit.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rows:
    """Labelled texts in the order of the file that they came from; the position is the row id.

    Args:
        texts: One text per row.
        labels: One class id per row.
        source: The file or the hub data set that was read.
        revision: The commit of the hub data set, where known.
    """

    texts: list[str]
    labels: list[int]
    source: str
    revision: str | None = None


@dataclass(frozen=True)
class Form:
    """Which columns of a file hold the text and the label.

    Args:
        text: The columns that make up the text, joined by one space.
        label: The column with the class.
        values: The class id of each value that the label column may hold.
        columns: The names of all columns where the file has no header, else None.
    """

    text: tuple[str, ...]
    label: str
    values: Mapping[str, int]
    columns: tuple[str, ...] | None = None

    def fits(self, columns: Sequence[str]) -> bool:
        """Return whether all columns that this form reads are among `columns`."""
        return {*self.text, self.label} <= set(columns)


@dataclass(frozen=True)
class _Record:
    first: int  # line numbers, from 1
    last: int
    fields: list[str]


def read_rows(path: str | Path, forms: Sequence[Form]) -> Rows:
    """Read a labelled CSV file.

    Args:
        path: The file.
        forms: The accepted forms; the first whose columns are all in the file is taken.

    Returns:
        The rows, in the order of the file.

    Raises:
        DataError: See `read_csv`.
    """
    rows = read_csv(path, forms[0].columns, forms)
    form = next(form for form in forms if form.fits(list(rows[0])))
    texts = [" ".join(row[column] for column in form.text) for row in rows]
    return Rows(texts, [form.values[row[form.label]] for row in rows], str(path))


def read_csv(
    path: str | Path, columns: Sequence[str] | None = None, forms: Sequence[Form] = ()
) -> list[dict[str, str]]:
    """Read a CSV file in UTF-8 without losing or changing a row.

    Args:
        path: The file.
        columns: The names of the columns of a file without a header; None takes the first record.
        forms: The accepted forms. With them, missing columns, unknown labels and rows swallowed by
            stray quotes are refused too.

    Returns:
        One dict per row, column name to text as written ("NA", "None" and "" stay text).

    Raises:
        DataError: The file cannot be read, is not UTF-8, is empty, or holds a record that is broken
            or ambiguous; the message names the line or byte.
    """
    path = Path(path)
    lines = io.StringIO(_decoded(path), newline="").readlines()
    with _fields_of_any_size():
        records = _parsed(path, lines)
        names = list(records.pop(0).fields if columns is None else columns)
        _check_names(path, names)
        form = _matching_form(path, names, forms) if forms else None
        if not records:
            raise DataError(f"{path} has a header but no rows; give a file with at least one row")
        for record in records:
            _check_field_count(path, record, names)
            if form is not None:
                _check_swallowed(path, record, lines, _looks_whole(names, form))
                _check_label(path, record, names, form)
    return [dict(zip(names, record.fields, strict=True)) for record in records]


@contextlib.contextmanager
def _fields_of_any_size() -> Iterator[None]:
    limit = csv.field_size_limit(sys.maxsize)  # holds for the whole process, hence put back
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _decoded(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path} is a directory; give the CSV file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the path of a CSV file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    start = len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0
    try:
        text = content[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {start + error.start} cannot be decoded; "
            "save the file as UTF-8 CSV"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{path} has a NUL byte at byte {content.index(0)}: "
            "it is damaged or not UTF-8; save the file as UTF-8 CSV"
        )
    if not text.strip("\r\n"):
        raise DataError(f"{path} is empty; give a CSV file with at least one row")
    return text


def _parsed(path: Path, lines: list[str]) -> list[_Record]:
    reader = csv.reader(lines, strict=True)
    records: list[_Record] = []
    first = 1
    try:
        for fields in reader:
            records.append(_Record(first, reader.line_num, fields))
            first = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}: the quotes of the record that starts on line {first} do not match at line "
            f'{reader.line_num} ({error}); remove the stray quote or double it ("")'
        ) from error
    while not records[-1].fields:  # blank lines at the end are no rows
        records.pop()
    return records


def _check_names(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path} has the column {name!r} twice; rename or remove one of them")


def _matching_form(path: Path, names: list[str], forms: Sequence[Form]) -> Form:
    for form in forms:
        if form.fits(names):
            return form
    wanted = " or ".join(", ".join([*form.text, form.label]) for form in forms)
    raise DataError(
        f"{path} lacks a column: it has {', '.join(map(repr, names))[:500]}, needed are {wanted}; "
        "rename the columns in its first line"
    )


def _check_field_count(path: Path, record: _Record, names: list[str]) -> None:
    if len(record.fields) != len(names):
        raise DataError(
            f"{path}: line {record.first} has {len(record.fields)} fields instead of {len(names)} "
            f"({', '.join(names)}); quote texts that contain commas or line ends"
        )


def _check_label(path: Path, record: _Record, names: list[str], form: Form) -> None:
    value = record.fields[names.index(form.label)]
    if value not in form.values:
        known = ", ".join(map(repr, form.values))
        raise DataError(
            f"{path}: line {record.first} has the unknown {form.label} {value[:80]!r}; "
            f"known are {known}: correct or remove the row"
        )


def _looks_whole(names: list[str], form: Form) -> Callable[[str], bool]:
    label = names.index(form.label)

    def looks_whole(line: str) -> bool:
        try:
            fields = next(csv.reader([line], strict=True), [])
        except csv.Error:
            return False
        return len(fields) == len(names) and fields[label] in form.values

    return looks_whole


def _check_swallowed(
    path: Path, record: _Record, lines: list[str], looks_whole: Callable[[str], bool]
) -> None:
    """Refuse a record over several lines of which one is a whole record by itself.

    The first line is looked at with each of its quotes taken away in turn, since there the stray
    quote is part of the line; the last line begins inside the quotes and says nothing.
    """
    if record.first == record.last:
        return
    opening = lines[record.first - 1]
    unquoted = (opening[:at] + opening[at + 1 :] for at, mark in enumerate(opening) if mark == '"')
    suspect = any(map(looks_whole, unquoted))
    if suspect or any(map(looks_whole, lines[record.first : record.last - 1])):
        raise DataError(
            f"{path}: lines {record.first} to {record.last} are one record by their quotes, but "
            "hold whole records by themselves; remove the stray quotes in these lines"
        )
