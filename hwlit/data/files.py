"""The bytes of a file that a stranger may have written: of a plain file alone, and bounded."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from hwlit.bounded_files import TooLargeError, open_plain, read_bounded, told_size
from hwlit.devices.free_memory import free_memory
from hwlit.errors import DataError, ResourceError

KINDS = {
    stat.S_IFDIR: "a directory; give the file in it",
    stat.S_IFIFO: "a named pipe; write what comes out of it to a file, and give that",
    stat.S_IFSOCK: "a socket; give a file",
    stat.S_IFCHR: "a device; give a file",
    stat.S_IFBLK: "a device; give a file",
}


def check_file(path: Path) -> None:
    """Refuse what is no plain file; a link counts as what it leads to.

    Raises:
        DataError: It does not exist, or is a directory, a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; give the path of a data file") from error
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a NUL in it
        raise DataError(f"{path} cannot be read: {_reason(error)}; give another file") from error
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is {KINDS.get(stat.S_IFMT(mode), 'no file; give one')}")


def open_file(path: Path) -> BinaryIO:
    """Open a plain file for reading; nothing is waited for.

    Raises:
        DataError: It is none, or cannot be opened.
    """
    check_file(path)
    try:
        return open_plain(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}") from error


def read_bytes(path: Path, limit: int, what: str) -> bytes:
    """Return the content of a file that is not to be large.

    Args:
        path: The file.
        limit: Bytes that it may have.
        what: What it is, for the refusal: "a picture".

    Raises:
        DataError: It is no plain file, has more bytes, or cannot be read.
    """
    check_file(path)
    try:
        return read_bounded(path, limit)
    except TooLargeError as error:
        raise DataError(
            f"{path} has {told_size(error.size)}, and {what} has at most {told_size(limit)}; "
            "replace or remove it"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}") from error


def check_memory(path: Path, needed: int, holds: str) -> None:
    """Refuse to read what the memory does not suffice for.

    Args:
        path: The file.
        needed: Bytes of memory that it takes to read it, about.
        holds: What it holds, for the refusal: "3,600,000 rows".

    Raises:
        ResourceError: Less is free.
    """
    free = free_memory()
    if needed > free:
        raise ResourceError(
            f"{path} holds {holds}, which take about {told_size(needed)} of memory to read, and "
            f"{told_size(free)} are free; give fewer rows, or use a machine with more memory"
        )


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
