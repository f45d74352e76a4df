"""The files of a model that are no weights, read as plain data: bounded, and nothing waited for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError, one_line

LARGEST_CONFIG = 16 << 20  # bytes; a thousand labels take 50 kB


def read_plain(path: Path, largest: int = LARGEST_CONFIG) -> Any:
    """Read a JSON file of a model as plain data.

    Raises:
        UsageError: It is no plain file, too large, or no JSON.
    """
    try:
        check_plain(path)
        if (size := path.stat().st_size) > largest:
            raise too_large(path, size, largest)
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a valid JSON file ({one_line(error)}); fetch the model again"
        ) from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        UsageError: It holds none.
    """
    found = read_plain(path)
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no JSON object; fetch it again")
    return found


def check_plain(path: Path) -> None:
    """Refuse what is no file: a pipe or a device would never end.

    Raises:
        UsageError: It is none.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no plain file; fetch the model again")


def too_large(path: Path, size: int, largest: int) -> UsageError:
    """Return what to say of a file with too many bytes."""
    return UsageError(
        f"{path} has {size:,} bytes, and none of its kind needs more than {largest:,}; fetch the "
        "model again"
    )
