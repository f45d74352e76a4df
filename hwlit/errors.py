"""What can go wrong in a run, and the exit code that says so.

Standard library only: the front end maps these to exit codes without importing torch.
"""

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


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says so: Python's, torch's, or that of torch's CPU allocator."""
    # By name, for nothing here imports torch; its CPU allocator raises a plain RuntimeError.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or isinstance(error, MemoryError) or "allocate memory" in str(error)


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
