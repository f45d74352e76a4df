"""The content of a data file as text: by its byte order mark, as UTF-8, or as the user says.

What is none of these is refused with what it seems to be and the command that converts it.
"""

from __future__ import annotations

import codecs
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from hwlit.bounded_files import told_size
from hwlit.data.dialects import USUAL, Dialect
from hwlit.data.files import check_memory, open_file
from hwlit.errors import DataError

# The mark of UTF-32 begins as that of UTF-16 does, hence comes first.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: ("utf_8", "UTF-8"),
    codecs.BOM_UTF32_LE: ("utf_32_le", "UTF-32"),
    codecs.BOM_UTF32_BE: ("utf_32_be", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf_16_le", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf_16_be", "UTF-16"),
}
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
        encoding: "UTF-8", "UTF-16 with a byte order mark", or the codec that the user named.
    """

    text: str
    encoding: str


def read_content(path: Path, kind: str, dialect: Dialect = USUAL) -> Content:
    """Read a text file.

    Args:
        path: The file.
        kind: What it should be, for the refusal: "CSV" or "JSON lines".
        dialect: How it is written.

    Raises:
        DataError: It cannot be read, is empty or is no text; the message names the byte.
        ResourceError: It takes more memory than is free.
    """
    with open_file(path) as file:
        try:
            size, head = os.fstat(file.fileno()).st_size, file.read(HEAD)
            _check_head(path, head, kind, dialect)
            check_memory(path, BYTE_TAKES * size, told_size(size))
            content = head + file.read()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    lines = content.count(b"\n") + content.count(b"\r")
    check_memory(path, _taken(content, lines), f"{lines:,} lines in {told_size(len(content))}")
    found = decoded(str(path), content, kind, dialect)
    if not found.text.strip("\r\n"):
        raise DataError(f"{path} is empty; give a file with at least one row")
    return found


def decoded(
    source: str, content: bytes, kind: str, dialect: Dialect, final: bool = True
) -> Content:
    """Return bytes as text.

    Args:
        source: Where they come from, for the refusal.
        content: The bytes.
        kind: What they should be, for the refusal.
        dialect: How they are written.
        final: Whether these are all; else the last character may be cut.

    Raises:
        DataError: They are no text.
    """
    codec, mark, told = _codec(content, dialect.encoding, final)
    try:
        text = codecs.getincrementaldecoder(codec)().decode(content[mark:], final)
    except UnicodeDecodeError as error:
        at = mark + error.start
        raise DataError(_undecodable(source, content, at, told, kind, dialect)) from error
    except UnicodeError as error:
        raise DataError(f"{source} is not {told}: {error}; save it as UTF-8 {kind}") from error
    if "\0" in text:
        raise DataError(_with_nul(source, content, text, codec, kind, dialect))
    return Content(text, f"{told} with a byte order mark" if mark else told)


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


def _check_head(path: Path, head: bytes, kind: str, dialect: Dialect) -> None:
    """Refuse what its first bytes show to be no text."""
    for magic, what in KINDS.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}; unpack it or save it as UTF-8 {kind}")
    text = decoded(str(path), head, kind, dialect, final=len(head) < HEAD).text
    if text[:1000].lstrip().lower().startswith(("<!doctype html", "<html")):
        raise DataError(
            f"{path} is a web page, perhaps in place of a download that failed; "
            f"give the {kind} file itself"
        )


def _codec(content: bytes, asked: str | None, final: bool) -> tuple[str, int, str]:
    """Return by which codec bytes are text, the length of the byte order mark, and a name for both.

    Text in another encoding that has any letter beyond ASCII is next to never valid UTF-8.
    """
    for mark, (codec, name) in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return codec, len(mark), name
    if asked is None or (not content.isascii() and _is_utf8(content, final)):
        return "utf_8", 0, "UTF-8"
    return asked, 0, asked


def _is_utf8(content: bytes, final: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf_8")().decode(content, final)
    except UnicodeDecodeError:
        return False
    return True


def _undecodable(
    source: str, content: bytes, at: int, name: str, kind: str, dialect: Dialect
) -> str:
    told = (
        f"{source} is not {name}: byte {at} ({content[at]:#04x}) cannot be decoded; save the file "
        f"as UTF-8 {kind}"
    )
    if name != "UTF-8" or not content[:at].isascii():
        return told if name != "UTF-8" else f"{told} (the text before it is UTF-8: look there)"
    if _utf16_order(content) is not None:
        return _with_nul(source, content, "", "utf_8", kind, dialect)
    start = max(content.rfind(end, 0, at) for end in b"\r\n") + 1
    try:
        shown = content[max(start, at - 20) : at + 20].splitlines()[0].decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing there
        return told
    return f"{told}; if {shown!r} is what it says there, it is Windows-1252: " + _converted(
        source, "CP1252", dialect, "cp1252"
    )


def _with_nul(
    source: str, content: bytes, text: str, codec: str, kind: str, dialect: Dialect
) -> str:
    if codec != "utf_8":
        return (
            f"{source} has a NUL at character {text.index(chr(0))}: it is damaged or not {codec}; "
            f"save the file as UTF-8 {kind}"
        )
    told = f"{source} has a NUL byte at byte {content.index(0)}: it is "
    if (order := _utf16_order(content)) is None:
        return f"{told}damaged or not UTF-8; save the file as UTF-8 {kind}"
    return (
        f"{told}UTF-16 without a byte order mark, it seems; save the file as UTF-8 {kind}: "
        + _converted(source, f"UTF-16{order}", dialect, f"utf_16_{order.lower()}")
    )


def _utf16_order(content: bytes) -> str | None:
    """Return the byte order of UTF-16 without a mark, "BE" or "LE"; None for what is none."""
    head = content[:HEAD]
    shares = [head[start::2].count(0) / len(head) for start in (0, 1)]  # of high and low bytes
    if max(shares) < 0.2 or min(shares) > 0.05:
        return None
    return "BE" if shares[0] > shares[1] else "LE"


def _converted(source: str, name: str, dialect: Dialect, codec: str) -> str:
    """Return the command that converts a file, and the flag that reads it as it is."""
    command = f"iconv -f {name} -t UTF-8 {shlex.quote(source)} > utf8{Path(source).suffix}"
    return command + dialect.or_flag("encoding", codec)


def _taken(content: bytes, lines: int) -> int:
    """Return the bytes of memory that it takes to read a file, about."""
    each = WIDE_BYTE_TAKES if WIDE.search(content) else BYTE_TAKES
    fields = max(content.count(mark) for mark in b",\t")
    return each * len(content) + ROW_TAKES * lines + FIELD_TAKES * fields
