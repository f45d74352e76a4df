"""Files of the user's own, of any format that is read: the wanted columns, row by row.

JSON lines: one object a line (https://jsonlines.org), https://www.rfc-editor.org/rfc/rfc8259.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwlit.data.content import check_length, read_content
from hwlit.data.csv_records import (
    check_columns,
    check_swallowed,
    known_fields,
    read_records,
    split_lines,
)
from hwlit.data.files import check_file
from hwlit.data.parquet_files import read_parquet
from hwlit.errors import DataError

ENDINGS = ".csv, .tsv, .jsonl, .ndjson and .parquet"
NAMES_KEPT = 1000  # of the columns of JSON lines, to say what there is instead of one that is not


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
            check_length(self.path, self.place(row), value)
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
        ResourceError: It takes more memory than is free.
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


def _read_csv(path: Path, wanted: Mapping[str, str], label: str | None, delimiter: str) -> Table:
    content = read_content(path, "CSV")
    lines = split_lines(content.text)
    names, records = read_records(path, lines, delimiter)
    check_columns(path, names, wanted)
    known = known_fields(names, records, label)
    check_swallowed(path, records, lines, delimiter, len(names), known)
    columns = {column: names.index(column) for column in wanted}
    rows = [{name: record.fields[i] for name, i in columns.items()} for record in records]
    return Table(path, rows, [record.first for record in records], content.encoding)


def _read_json_lines(path: Path, wanted: Mapping[str, str]) -> Table:
    content = read_content(path, "JSON lines")
    lines = content.text.rstrip("\r\n").split("\n")
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        found = _object(path, number, line)
        rows.append({column: found[column] for column in wanted if column in found})
        names |= dict.fromkeys(found if len(names) < NAMES_KEPT else rows[-1])
    check_columns(path, list(names), wanted)
    for number, row in enumerate(rows, start=1):
        for column in wanted:
            if column not in row:
                raise DataError(
                    f"{path}: line {number} has no {column!r}; add it or remove the line"
                )
    return Table(path, rows, list(range(1, len(rows) + 1)), content.encoding)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            raise DataError(f"{path}: line {number} has {twice[:80]!r} twice; remove one of them")
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
    columns = read_parquet(path, wanted)
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    if not rows:
        raise DataError(f"{path} has no rows; give a file with at least one row")
    return Table(path, rows, None, "Parquet")
