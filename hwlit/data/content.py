"""The content of a data file as text: UTF-8 and nothing else, or a refusal that says what it is."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass
from pathlib import Path

from hwlit.bounded_files import told_size
from hwlit.data.files import check_memory, open_file
from hwlit.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "compressed by gzip",
    b"PAR1": "a Parquet file",
}
HEAD = 1 << 16  # bytes that show most of what is no text, before the rest is read
# Memory that is taken to read a file of texts, measured: for each of its bytes (as bytes, text,
# lines and fields), each row and each field. Python takes four bytes for each character of a text
# that has one beyond the first plane of Unicode, such as an emoji.
BYTE_TAKES, WIDE_BYTE_TAKES, ROW_TAKES, FIELD_TAKES = 4, 10, 600, 60
WIDE = re.compile(rb"[\xf0-\xf4]")
LONGEST_TEXT = 10_000_000  # characters; War and Peace has 3.2 million


@dataclass(frozen=True)
class Content:
    """A text file.

    Args:
        text: What it holds, without a byte order mark, line ends as they are.
        encoding: "UTF-8", or "UTF-8 with a byte order mark".
    """

    text: str
    encoding: str


def read_content(path: Path, kind: str) -> Content:
    """Read a text file in UTF-8.

    Args:
        path: The file.
        kind: What it should be, for the refusal: "CSV" or "JSON lines".

    Raises:
        DataError: It cannot be read, is empty or is no text in UTF-8; the message names the byte.
        ResourceError: It takes more memory than is free.
    """
    with open_file(path) as file:
        try:
            size, head = os.fstat(file.fileno()).st_size, file.read(HEAD)
            _check_head(path, head, kind)
            check_memory(path, BYTE_TAKES * size, told_size(size))
            content = head + file.read()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    lines = content.count(b"\n") + content.count(b"\r")
    check_memory(path, _taken(content, lines), f"{lines:,} lines in {told_size(len(content))}")
    start = _start(content)
    text = _decoded(path, content, start, kind)
    if not text.strip("\r\n"):
        raise DataError(f"{path} is empty; give a file with at least one row")
    return Content(text, "UTF-8 with a byte order mark" if start else "UTF-8")


def check_length(path: Path, place: str, text: str) -> None:
    """Refuse a text that no tokenizer reads within minutes.

    Args:
        path: The file.
        place: Where in it the text lies: "line 7".
        text: The text.

    Raises:
        DataError: It is too long.
    """
    if len(text) > LONGEST_TEXT:
        raise DataError(
            f"{path}: {place} has a text of {len(text):,} characters, and a text has at most "
            f"{LONGEST_TEXT:,}; divide it, or close a quote that was left open"
        )


def _check_head(path: Path, head: bytes, kind: str) -> None:
    """Refuse what its first bytes show to be no text."""
    for magic, what in KINDS.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}; unpack it or save it as UTF-8 {kind}")
    text = _decoded(path, head, _start(head), kind, final=len(head) < HEAD)
    if text[:1000].lstrip().lower().startswith(("<!doctype html", "<html")):
        raise DataError(
            f"{path} is a web page, perhaps in place of a download that failed; "
            f"give the {kind} file itself"
        )


def _start(content: bytes) -> int:
    return len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0


def _decoded(path: Path, content: bytes, start: int, kind: str, final: bool = True) -> str:
    """Return the text from a byte on; where it is not the final part, a character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content[start:], final)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte {start + error.start} cannot be decoded; "
            f"save the file as UTF-8 {kind}"
        ) from error
    if "\0" in text:
        raise DataError(
            f"{path} has a NUL byte at byte {content.index(0)}: "
            f"it is damaged or not UTF-8; save the file as UTF-8 {kind}"
        )
    return text


def _taken(content: bytes, lines: int) -> int:
    """Return the bytes of memory that it takes to read a file, about."""
    each = WIDE_BYTE_TAKES if WIDE.search(content) else BYTE_TAKES
    fields = max(content.count(mark) for mark in b",\t")
    return each * len(content) + ROW_TAKES * lines + FIELD_TAKES * fields
