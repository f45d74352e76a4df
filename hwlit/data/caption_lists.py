"""Captions of a whole folder in one file, as the ImageFolder of Hugging Face's datasets reads it.

Source: https://huggingface.co/docs/datasets/image_dataset. `metadata.jsonl` holds one JSON object a
line, `metadata.csv` a table with a header.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from hwlit.data.files import read_bytes
from hwlit.errors import DataError

LISTS = ("metadata.jsonl", "metadata.csv")
BESIDE = (".txt", ".caption")  # endings of the captions of one picture
SEPARATORS = ",;\t"  # of a table: the first that is in its header
# How text begins that is not UTF-8; that of UTF-32 begins as UTF-16 does.
OTHER_ENCODINGS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# Columns, in the order in which they are looked for; the first is ImageFolder's own.
NAMES = ("file_name", "filename", "file", "image", "image_path", "image_file", "path")
TEXTS = ("text", "caption", "prompt")
MOST_CAPTION, MOST_METADATA = 1 << 20, 16 << 20  # bytes
HALF = re.compile("[\ud800-\udfff]")  # a surrogate without its other half


@dataclass(frozen=True)
class Row:
    """What a list says of one picture.

    Args:
        name: The picture's path inside the folder, with forward slashes.
        text: Its caption.
        file: The list's name.
        place: Where in it that stands, for people.
    """

    name: str
    text: str
    file: str
    place: str


def read_list(path: Path) -> tuple[list[Row], list[str]]:
    """Read `metadata.jsonl` or `metadata.csv`.

    Args:
        path: The file.

    Returns:
        Its rows, and remarks on it.

    Raises:
        DataError: It is not as expected.
    """
    text = read_text(path, MOST_METADATA)
    records = _csv(path, text) if path.suffix.lower() == ".csv" else _json_lines(path, text)
    rows, unread = [], set()
    for place, record in records:
        name_column = _column(NAMES, record, "file name", place)
        text_column = _column(TEXTS, record, "caption", place)
        name, caption = record[name_column], record[text_column]
        for column in (name_column, text_column):
            if not isinstance(record[column], str):
                found = json.dumps(record[column])[:40]
                raise DataError(f"{place} has {found} as {column}; write a text there")
        if HALF.search(caption):
            raise DataError(f"{place} has half a character in {text_column}; correct it")
        rows.append(Row(_inside(name, place), caption, path.name, place))
        unread |= {other for other in TEXTS if other in record and other != text_column}
    remarks = [f"{path.name}: the column {', '.join(sorted(unread))} is not read"] if unread else []
    return rows, remarks if rows else [f"{path.name} names no picture"]


def read_text(path: Path, limit: int = MOST_CAPTION) -> str:
    """Return the text of a file of captions.

    Args:
        path: The file.
        limit: Bytes that it may have.

    Raises:
        DataError: It is no plain file, larger, or no text in UTF-8.
    """
    content = read_bytes(path, limit, "a file of captions")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        told = "not UTF-8"
        if mark := next((mark for mark in OTHER_ENCODINGS if content.startswith(mark)), b""):
            told = f"{OTHER_ENCODINGS[mark]} (it begins with {mark.hex(' ')})"
        raise DataError(f"{path} is {told}; save it as UTF-8") from error
    if "\0" in text:
        raise DataError(f"{path} has a NUL character: it is no text; correct or remove it")
    return text


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # str.splitlines would also cut at form feeds and at Unicode's line separators.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number} of {path}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{place} is no JSON ({error}); write one JSON object a line"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{place} is no object with file_name and text; correct it")
        names = _columns(row, place)
        yield place, dict(zip(names, row.values(), strict=True))


def _columns(names: Iterable[str], place: str) -> list[str]:
    """Return the names of columns as they are compared, none of those that are read twice."""
    found = [name.strip().lower() for name in names]
    if twice := next((name for name in (*NAMES, *TEXTS) if found.count(name) > 1), None):
        raise DataError(f"{place} has the column {twice!r} twice; remove one of them")
    return found


def _csv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    header = text.lstrip().partition("\n")[0]
    separator = next((mark for mark in SEPARATORS if mark in header), SEPARATORS[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        names = _columns(next(reader, []), str(path))
        for fields in reader:
            place = f"line {reader.line_num} of {path}"
            if not fields:  # a blank line is no row
                continue
            if len(fields) != len(names):
                raise DataError(
                    f"{place} has {len(fields)} fields instead of {len(names)}; quote captions "
                    f"that contain {separator!r} or line ends"
                )
            yield place, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"line {reader.line_num} of {path}: {error}; correct its quotes") from error


def _column(known: tuple[str, ...], record: Mapping[str, Any], what: str, place: str) -> str:
    found = next((name for name in known if name in record), None)
    if found is None:
        there = ", ".join(repr(str(name)[:40]) for name in list(record)[:10])
        raise DataError(
            f"{place} has no {what} ({', '.join(known[:3])}), only {there or 'nothing'}; call the "
            f"column {known[0]}"
        )
    return found


def _inside(name: str, place: str) -> str:
    path = PureWindowsPath(name)  # knows the separators of every system
    if path.anchor or ".." in path.parts:
        raise DataError(
            f"{place} names {name[:80]!r}, which is outside of its folder; name pictures of this "
            "folder alone"
        )
    return path.as_posix()
