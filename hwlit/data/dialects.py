"""How files of texts are written: encoding, delimiter, quotes, and columns without a header.

Null settings follow the file: its byte order mark, its ending, its first line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from encodings.aliases import aliases
from typing import Any

from hwlit.errors import IntegrityError, UsageError

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
QUOTES = ("standard", "none")
# Python's codecs that turn bytes into bytes, or are of Windows alone.
NO_TEXT = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"}
NO_TEXT |= {"zlib_codec", "mbcs"}
ENCODINGS = {name: name for name in set(aliases.values()) - NO_TEXT}
ENCODINGS |= {alias: name for alias, name in aliases.items() if name in ENCODINGS}


@dataclass(frozen=True)
class Dialect:
    """How files of texts are written.

    Args:
        encoding: The encoding of files that are not UTF-8 and have no byte order mark; None expects
            UTF-8.
        delimiter: What parts the fields of CSV and TSV; None takes it from the file.
        quotes: "standard" reads quotes as CSV has them, "none" as characters of the text.
        columns: The names of the columns of CSV and TSV without a header; None reads the header.
        flags: Whether the flags of `--data` set this, so that refusals can name them.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quotes: str = "standard"
    columns: tuple[str, ...] | None = None
    flags: bool = False

    def or_flag(self, name: str, value: str) -> str:
        """Return the end of a remedy that a flag offers too; "" where flags do not apply."""
        return f", or set --data.{name} {value}" if self.flags else ""

    def as_record(self) -> dict[str, Any]:
        """Return the settings as plain data, from which `dialect_in` makes the dialect again."""
        return {
            "encoding": self.encoding,
            "delimiter": None if self.delimiter is None else delimiter_name(self.delimiter),
            "quotes": self.quotes,
            "columns": None if self.columns is None else list(self.columns),
        }


USUAL = Dialect()


def delimiter_name(delimiter: str) -> str:
    """Return what a delimiter is called."""
    return next(name for name, mark in DELIMITERS.items() if mark == delimiter)


def dialect_of(
    encoding: str | None, delimiter: str | None, quotes: str, columns: Sequence[str] | None
) -> Dialect:
    """Return the dialect that the flags of `--data` ask for.

    Raises:
        UsageError: A setting is unknown.
    """
    known = None if encoding is None else ENCODINGS.get(_plain(encoding))
    if encoding is not None and known is None:
        raise UsageError(
            f"--data.encoding is {encoding[:80]!r}, which is no text encoding of Python; give one "
            "such as cp1252, latin_1, utf_16_le, shift_jis or gb18030"
        )
    if delimiter is not None:
        delimiter = DELIMITERS.get(delimiter, delimiter.replace("\\t", "\t"))
        if delimiter not in DELIMITERS.values():
            raise UsageError(
                f"--data.delimiter is {delimiter[:80]!r}; give {', '.join(DELIMITERS)} or null"
            )
    if quotes not in QUOTES:
        raise UsageError(f"--data.quotes is {quotes[:80]!r}; give {' or '.join(QUOTES)}")
    if columns is not None and not columns:
        raise UsageError("--data.columns is empty; give the name of each column, or null")
    return Dialect(
        known, delimiter, quotes, None if columns is None else tuple(columns), flags=True
    )


def dialect_in(recorded: Any) -> Dialect:
    """Return the dialect that a run recorded; the usual one where it recorded none.

    Args:
        recorded: What `as_record` returned, as read from a record.

    Raises:
        IntegrityError: It is damaged.
    """
    if recorded is None:
        return USUAL
    try:
        return _recorded(recorded)
    except (UsageError, TypeError) as error:
        raise IntegrityError(
            f"the record's data.dialect is damaged ({str(recorded)[:80]}); bring the run's own "
            "record back"
        ) from error


def _recorded(recorded: Any) -> Dialect:
    if not isinstance(recorded, Mapping):
        raise TypeError("it is no object")
    encoding, delimiter = recorded.get("encoding"), recorded.get("delimiter")
    quotes, columns = recorded.get("quotes"), recorded.get("columns")
    if not isinstance(columns, list | None) or not isinstance(quotes, str):
        raise TypeError("a setting has another type")
    texts = [value for value in (encoding, delimiter, *(columns or ())) if value is not None]
    if not all(isinstance(value, str) for value in texts):
        raise TypeError("a setting has another type")
    made = dialect_of(encoding, delimiter, quotes, columns)
    return Dialect(made.encoding, made.delimiter, made.quotes, made.columns)


def _plain(name: str) -> str:
    """Return the name of an encoding as Python's table of aliases has it."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
