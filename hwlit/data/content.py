"""The content of a data file as text: UTF-8 and nothing else, or a refusal that says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwlit.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "compressed by gzip",
    b"PAR1": "a Parquet file",
}


@dataclass(frozen=True)
class Content:
    """A text file.

    Args:
        text: What it holds, without a byte order mark, line ends as they are.
        encoding: "UTF-8", or "UTF-8 with a byte order mark".
    """

    text: str
    encoding: str


def check_file(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        DataError: It does not exist, or is a directory.
    """
    if path.is_dir():
        raise DataError(f"{path} is a directory; give the file in it")
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of a data file")


def read_content(path: Path, kind: str) -> Content:
    """Read a text file in UTF-8.

    Args:
        path: The file.
        kind: What it should be, for the refusal: "CSV" or "JSON lines".

    Raises:
        DataError: It cannot be read, is empty or is no text in UTF-8; the message names the byte.
    """
    check_file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    for magic, what in KINDS.items():
        if content.startswith(magic):
            raise DataError(f"{path} is {what}; unpack it or save it as UTF-8 {kind}")
    start = len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0
    try:
        text = content[start:].decode("utf-8")
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
    if not text.strip("\r\n"):
        raise DataError(f"{path} is empty; give a file with at least one row")
    if text[:1000].lstrip().lower().startswith(("<!doctype html", "<html")):
        raise DataError(
            f"{path} is a web page, perhaps in place of a download that failed; "
            f"give the {kind} file itself"
        )
    return Content(text, "UTF-8 with a byte order mark" if start else "UTF-8")
