"""Files of the user's own, of any format that is read: the wanted columns, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwlit.data.columns import check_header
from hwlit.data.content import check_length, read_content
from hwlit.data.csv_records import check_swallowed, known_fields, read_records, split_lines
from hwlit.data.dialects import USUAL, Dialect
from hwlit.data.files import check_file
from hwlit.data.json_records import read_json
from hwlit.data.parquet_files import read_parquet
from hwlit.errors import DataError

ENDINGS = ".csv, .tsv, .json, .jsonl, .ndjson and .parquet"
DELIMITED = {".csv": ",", ".tsv": "\t"}
JSON = {".json": "JSON", ".jsonl": "JSON lines", ".ndjson": "JSON lines"}
REMEDIES = {
    (".xlsx", ".xls", ".xlsm", ".ods"): "save the sheet as CSV UTF-8 (.csv)",
    (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".tar", ".tgz"): "unpack it",
    (".txt", ".tab", ".dat", ".data"): "rename it to .csv where commas part its columns, to .tsv "
    "where tabs do",
}


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Args:
        path: The file.
        rows: Value by column, one mapping per row, in the order of the file.
        lines: The line on which each row begins, from 1; None where the file has no lines.
        encoding: How the file was encoded.
        notes: How it was read, where the file itself decided that.
    """

    path: Path
    rows: Sequence[Mapping[str, Any]]
    lines: list[int] | None
    encoding: str
    notes: tuple[str, ...] = ()

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
            self.check_characters(row, column, value)
            texts.append(value)
        return texts

    def check_characters(self, row: int, column: str, value: str) -> None:
        """Refuse text that cannot be written: JSON may hold one half of a character.

        Args:
            row: Its row, from 0.
            column: Its column.
            value: The text.

        Raises:
            DataError: It is such.
        """
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{self.path}: {self.place(row)} has half a character (a lone surrogate, "
                f"{value[error.start]!r}) in {column}; correct or remove the row"
            ) from error


def read_table(
    path: str | Path,
    wanted: Mapping[str, str],
    label: str | None = None,
    dialect: Dialect = USUAL,
) -> Table:
    """Read a file by its ending: .csv, .tsv, .json, .jsonl, .ndjson or .parquet.

    In CSV files fields are parted by commas, in TSV files by tabs, with the same rules for quotes,
    unless the dialect says otherwise.

    Args:
        path: The file.
        wanted: The columns to read; to each, what the user can do where it is missing.
        label: The column of the label, where there is one: it helps to find stray quotes, and a
            JSON object without it has the label null.
        dialect: How the file is written.

    Raises:
        DataError: The file cannot be read as it is, without losing or changing a row, or lacks a
            column; the message names the line, byte or columns.
        ResourceError: It takes more memory than is free.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in DELIMITED:
        return _read_csv(path, wanted, label, DELIMITED[ending], dialect)
    if ending in JSON:
        content = read_content(path, JSON[ending], dialect)
        rows, lines = read_json(path, content.text, wanted, label)
        return Table(path, rows, lines, content.encoding)
    if ending == ".parquet":
        return _read_parquet(path, wanted)
    check_file(path)
    remedies = (remedy for endings, remedy in REMEDIES.items() if ending in endings)
    raise DataError(
        f"{path} ends in {path.suffix!r}, but {ENDINGS} are read; "
        + next(remedies, "save the file as one of these")
    )


def _read_csv(
    path: Path, wanted: Mapping[str, str], label: str | None, usual: str, dialect: Dialect
) -> Table:
    content = read_content(path, "CSV", dialect)
    lines = split_lines(content.text)
    found = read_records(
        path, lines, dialect, usual, wanted,
        lambda names, delimiter: check_header(path, names, wanted, delimiter, dialect),
    )  # fmt: skip
    check_swallowed(path, found, lines, known_fields(found.names, found.records, label), dialect)
    columns = {column: found.names.index(column) for column in wanted}
    rows = [{name: record.fields[i] for name, i in columns.items()} for record in found.records]
    firsts = [record.first for record in found.records]
    return Table(path, rows, firsts, content.encoding, found.notes)


def _read_parquet(path: Path, wanted: Mapping[str, str]) -> Table:
    columns = read_parquet(path, wanted)
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    if not rows:
        raise DataError(f"{path} has no rows; give a file with at least one row")
    return Table(path, rows, None, "Parquet")
