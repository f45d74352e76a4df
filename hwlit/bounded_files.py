"""Files that a stranger may have written: plain files alone, and never more than they may hold.

A file of six gigabytes of nothing takes no room on a disk. So whatever is read whole, of the
directory of a run or a study, is read here: its size is looked at first, and no more is read.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import orjson

LARGEST_JSON = 64 << 20  # bytes; a record takes a dozen a step
LARGEST_TABLE = 1 << 30  # bytes; the test rows are in it with their texts
LARGEST_METRICS = 64 << 20  # bytes of a metrics.csv; a row has some dozens
MOST_ROWS = 10_000_000
LONGEST_TEXT = 1 << 26  # characters of a field, or of a line in it
# A pipe that nobody writes to would be waited for, a kernel's log without end as well.
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class TooLargeError(ValueError):
    """A file has more bytes than any of its kind.

    Args:
        size: Bytes that it has.
        limit: Bytes that it may have.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"it has {size:,} bytes, and none of its kind has over {limit:,}")
        self.size = size


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading; nothing is waited for.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """
    handle = os.open(path, FLAGS)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return open(handle, "rb")


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a plain file of at most so many bytes.

    Raises:
        OSError: It cannot be read, or is no plain file.
        TooLargeError: It has more bytes.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if size <= limit else b""  # it may grow meanwhile
    if (size := max(size, len(content))) > limit:
        raise TooLargeError(size, limit)
    return content


def read_json(path: Path, limit: int = LARGEST_JSON) -> Any:
    """Read a JSON file; what of a text is no Unicode becomes a question mark.

    Raises:
        OSError: It cannot be read, or is no plain file.
        ValueError: It is no JSON, for which NaN and infinity are none, or has more bytes.
    """
    data = read_bounded(path, limit)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:  # also of a path in another encoding, as Python writes it
        try:
            text = json.dumps(json.loads(data, parse_constant=_refuse), ensure_ascii=False)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        return orjson.loads(text.encode("utf-8", "replace"))


def read_rows(path: Path, limit: int = LARGEST_TABLE) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file by the names in its first one; raises as `read_lines`."""
    lines = read_lines(path, limit)
    names = next(lines, [])
    for line in lines:
        yield dict(zip(names, line, strict=True))


def read_lines(path: Path, limit: int = LARGEST_TABLE) -> Iterator[list[str]]:
    """Yield the names in the first row of a CSV file, then its rows; empty lines are none.

    Raises:
        OSError: It cannot be read, or is no plain file.
        ValueError: It is empty, has more bytes or rows than any of ours, is no UTF-8, or a row has
            other fields than the first.
    """
    before = csv.field_size_limit(LONGEST_TEXT)  # holds for the whole process, hence put back
    try:
        with open_plain(path) as binary:
            if (size := os.fstat(binary.fileno()).st_size) > limit:
                raise TooLargeError(size, limit)
            if size == 0:
                raise ValueError("it is empty")
            file = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
            lines = iter(partial(file.readline, LONGEST_TEXT), "")
            fields = 0
            for number, row in enumerate(filter(None, csv.reader(lines, strict=True))):
                if number > MOST_ROWS:
                    raise ValueError(f"it has more than {MOST_ROWS:,} rows")
                if len(row) != fields and number:
                    raise ValueError(
                        f"row {number} has {len(row)} fields, where the first line has {fields}"
                    )
                fields = len(row)
                yield row
    except csv.Error as error:
        raise ValueError(str(error)) from error
    finally:
        csv.field_size_limit(before)


def told_size(size: int) -> str:
    """Return a number of bytes for people: "512 bytes", "1.5 MiB"."""
    if size < 1 << 10:
        return f"{size} bytes"
    power = min((size.bit_length() - 1) // 10, 4)
    return f"{size / (1 << 10 * power):,.1f} {' KMGT'[power]}iB"


def _refuse(name: str) -> None:
    raise ValueError(f"it has {name}")
