"""What can go wrong in a run, and the exit code that says so.

Standard library only: the front end maps these to exit codes without importing torch.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hwlit.plain_text import printable


class HwlitError(Exception):
    """One sentence for the user: what was wrong, what was found, what to change."""

    exit_code = 1

    def __str__(self) -> str:
        """Return it as one line, whatever a name or a file's text in it holds."""
        return printable(super().__str__())


class UsageError(HwlitError):
    """The command line or the config cannot be used as given."""

    exit_code = 2


class DataError(HwlitError):
    """A data file or data set cannot be read without losing or changing rows."""

    exit_code = 3


class DivergedError(HwlitError):
    """The loss or a gradient stopped being finite; raised before the update."""

    exit_code = 4


class IntegrityError(HwlitError):
    """A file is not what it was when it was written, or an export does not reload equal."""

    exit_code = 5


class ResourceError(HwlitError):
    """Disk, memory or a device is missing or used up."""

    exit_code = 6


OUT_OF_MEMORY = (
    "out of memory; lower --data.batch_size or --data.max_length, or set "
    "--model.gradient_checkpointing true"
)


LONGEST_NAME = 200  # characters of a file's name that a sentence shows
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A name that no file can have, or one that leads nowhere.
NO_FILE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EISDIR, errno.ENXIO)
# What libraries say that keep no error number: safetensors, and torch's writer of files.
FULL = ("No space left", "File too large", "Disk quota exceeded", "file write failed")
# Of torch's allocator, C++'s, extensions that fail without saying why, threads and the loader of
# shared libraries.
NO_MEMORY = (
    "allocate memory", "bad_alloc", "error return without exception set", "start new thread",
    "failed to map segment",
)  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says so: Python's, torch's, or that of torch's CPU allocator."""
    # By name, for nothing here imports torch; its CPU allocator raises a plain RuntimeError.
    named = type(error).__name__ == "OutOfMemoryError"
    told = any(words in str(error) for words in NO_MEMORY)
    return named or told or isinstance(error, MemoryError)


def is_out_of_space(error: BaseException) -> bool:
    """Return whether an exception says that a disk is full or a limit on files is reached."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return True
    return any(words in str(error) for words in FULL)


def is_panic(error: BaseException) -> bool:
    """Return whether a library in Rust gave up: what it raises then is no `Exception`."""
    return type(error).__name__ == "PanicException"


def is_pickle(error: BaseException) -> bool:
    """Return whether torch refused a file that could hold code, or is no file of torch at all."""
    return type(error).__name__ == "UnpicklingError"


def one_line(error: BaseException) -> str:
    """Return the first line of what an exception says, without its stop."""
    return (str(error).strip() or "no message").partition("\n")[0].rstrip(". :")[:300]


def translated(error: BaseException) -> HwlitError | None:
    """Return what an exception of a library means to the user; None where that is not known."""
    if is_out_of_memory(error):
        return ResourceError(
            "out of memory; end other programs, lower the batch size, or take a smaller model"
        )
    if is_out_of_space(error):
        return ResourceError(f"the disk is full or a limit is reached ({one_line(error)})")
    if isinstance(error, OSError) and error.errno in NO_FILE and error.filename is not None:
        name = str(error.filename)
        shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        return UsageError(f"{shown!r} cannot be read: {error.strerror}; give another path")
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # of pathlib
        return UsageError("a path begins with ~ and a name that is no user here; write it out")
    if isinstance(error, ValueError) and "null byte" in str(error):  # of the operating system
        return UsageError("a path holds a NUL character; give another path")
    if type(error).__name__ == "MisconfigurationException":  # of Lightning
        return UsageError(one_line(error))
    if isinstance(error, IndexError) and "index out of range in self" in str(error):  # of torch
        return UsageError(
            "a token or its place has a number for which the network has no row: tokenizer and "
            "weights do not belong together, or --data.max_length is too large; give a model whose "
            "files do, or lower it"
        )
    if is_pickle(error):
        return IntegrityError(
            "a file of weights is damaged, or holds more than tensors, which could be code, and is "
            "not loaded; give one that hwlit wrote, or weights as .safetensors"
        )
    if type(error).__name__ == "SafetensorError":
        return IntegrityError(f"a safetensors file is damaged ({one_line(error)}); fetch it again")
    if is_panic(error):
        return IntegrityError(
            f"a tokenizer cannot read a text ({one_line(error)}): its tokenizer.json is damaged, "
            "or its patterns do not end; take another"
        )
    return None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong with a file that is written by a library, which it was.

    Raises:
        ResourceError: The disk is full, a limit is reached, or the place cannot be written.
    """
    try:
        yield
    except HwlitError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or "os error" in str(error):  # as libraries in Rust say it
            reason = getattr(error, "strerror", None) or one_line(error)
            raise ResourceError(f"cannot write {path}: {reason}") from error
        raise


class Interrupted(BaseException):
    """A signal ended the run.

    No `Exception`, so that nothing takes it for a failure of what ran at the time.

    Args:
        signal: The signal's number; the exit code is 128 and that number.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"stopped by {({1: 'SIGHUP', 2: 'Ctrl-C'}).get(signal, 'SIGTERM')}")
        self.__notes__: list[str] = []
        self.exit_code = 128 + signal


def status_of(error: BaseException) -> Literal["failed", "oom", "interrupted"]:
    """Return the status of a run that an exception ended: failed, oom or interrupted."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return "interrupted"
    return "oom" if is_out_of_memory(error) else "failed"
