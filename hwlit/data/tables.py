"""Files of the user's own, of any format that is read: the wanted columns, row by row.

JSON lines: one object a line (https://jsonlines.org), https://www.rfc-editor.org/rfc/rfc8259.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from hwlit.data.content import check_file, read_content
from hwlit.data.csv_records import (
    check_names,
    check_swallowed,
    known_fields,
    read_records,
    split_lines,
)
from hwlit.errors import DataError

ENDINGS = ".csv, .tsv, .jsonl, .ndjson and .parquet"


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Args:
        path: The file.
        rows: Value by column, one mapping per row, in the order of the file.
        lines: The line on which each row begins, from 1; None where the file has no lines.
        encoding: How the file was encoded.
    """

    path: Path
    rows: Sequence[Mapping[str, Any]]
    lines: list[int] | None
    encoding: str

    def place(self, row: int) -> str:
        """Return where a row lies, for people."""
        return f"row {row} (the first is 0)" if self.lines is None else f"line {self.lines[row]}"

    def texts(self, column: str) -> list[str]:
        """Return a column of texts; a null is the empty text.

        Raises:
            DataError: A value is no text.
        """
        texts = []
        for row, values in enumerate(self.rows):
            value = "" if values[column] is None else values[column]
            if not isinstance(value, str):
                raise DataError(
                    f"{self.path}: {self.place(row)} has the {column} {str(value)[:80]}, which is "
                    "no text; quote it or choose another column"
                )
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{self.path}: {self.place(row)} has half a character (a lone surrogate, "
                    f"{value[error.start]!r}) in {column}; correct or remove the row"
                ) from error
            texts.append(value)
        return texts


def read_table(path: str | Path, wanted: Mapping[str, str], label: str | None = None) -> Table:
    """Read a file by its ending: .csv, .tsv, .jsonl, .ndjson or .parquet.

    In CSV files fields are parted by commas, in TSV files by tabs, with the same rules for quotes.

    Args:
        path: The file.
        wanted: The columns to read; to each, what the user can do where it is missing.
        label: The column of the label, where there is one: it helps to find stray quotes.

    Raises:
        DataError: The file cannot be read as it is, without losing or changing a row, or lacks a
            column; the message names the line, byte or columns.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path, wanted, label, ",")
        case ".tsv":
            return _read_csv(path, wanted, label, "\t")
        case ".jsonl" | ".ndjson":
            return _read_json_lines(path, wanted)
        case ".parquet":
            return _read_parquet(path, wanted)
    check_file(path)
    raise DataError(
        f"{path} ends in {path.suffix!r}, but {ENDINGS} are read; save the file as one of these"
    )


def _check_columns(path: Path, names: list[str], wanted: Mapping[str, str]) -> None:
    for column, remedy in wanted.items():
        if column not in names:
            seen = ", ".join(map(repr, names))[:500]
            if len(names) == 1 and any(mark in names[0] for mark in ",;|\t"):
                remedy = "part its columns by commas (.csv) or tabs (.tsv)"
            raise DataError(f"{path} has no column {column!r}, only {seen}; {remedy}")


def _read_csv(path: Path, wanted: Mapping[str, str], label: str | None, delimiter: str) -> Table:
    content = read_content(path, "CSV")
    lines = split_lines(content.text)
    names, records = read_records(path, lines, delimiter)
    _check_columns(path, names, wanted)
    known = known_fields(names, records, label)
    check_swallowed(path, records, lines, delimiter, len(names), known)
    columns = {column: names.index(column) for column in wanted}
    rows = [{name: record.fields[i] for name, i in columns.items()} for record in records]
    return Table(path, rows, [record.first for record in records], content.encoding)


def _read_json_lines(path: Path, wanted: Mapping[str, str]) -> Table:
    content = read_content(path, "JSON lines")
    lines = content.text.rstrip("\r\n").split("\n")
    objects = [_object(path, number, line) for number, line in enumerate(lines, start=1)]
    _check_columns(path, list(dict.fromkeys(name for found in objects for name in found)), wanted)
    for number, found in enumerate(objects, start=1):
        for column in wanted:
            if column not in found:
                raise DataError(
                    f"{path}: line {number} has no {column!r}; add it or remove the line"
                )
    rows = [{column: found[column] for column in wanted} for found in objects]
    return Table(path, rows, list(range(1, len(rows) + 1)), content.encoding)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{path}: line {number} has {twice!r} twice; remove one of them")
        return found

    try:
        found = json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        reason = "it is blank" if not line.strip() else str(error)
        raise DataError(
            f"{path}: line {number} is no JSON ({reason}); write one JSON object a line"
        ) from error
    if not isinstance(found, dict):
        raise DataError(
            f"{path}: line {number} holds a {type(found).__name__}; write one JSON object a line"
        )
    return found


def _read_parquet(path: Path, wanted: Mapping[str, str]) -> Table:
    check_file(path)
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_names(path, names)
            _check_columns(path, names, wanted)
            columns = file.read(columns=list(wanted)).to_pydict()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as Parquet ({reason}); write it anew") from error
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    if not rows:
        raise DataError(f"{path} has no rows; give a file with at least one row")
    return Table(path, rows, None, "Parquet")
