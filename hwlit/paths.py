"""What may be told of a path: its folders tell of a machine and its user, its own name does not.

Standard library only.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

SEPARATOR, PART = r"[/\\]+", r"[^\s/\\'\":;,<>|()\[\]]+"
FOLDERS = re.compile(
    # Of a home the user's name too, in which there may be blanks.
    rf"(?<![\w:/\\.~-])(?:(?:file:/*)?(?:[A-Za-z]:)?{SEPARATOR}(?:home|Users){SEPARATOR}"
    rf"(?:[^/\\\n'\":;,<>|]+{SEPARATOR}|{PART})(?:{PART}{SEPARATOR})*"
    rf"|(?:file:/*|~[\w.-]*|[A-Za-z]:){SEPARATOR}(?:{PART}{SEPARATOR})*"
    rf"|{SEPARATOR}(?:{PART}{SEPARATOR})+)"
)


def is_local(name: str) -> bool:
    """Return whether a name is a path on some machine: absolute, or from its home or a parent."""
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute()
    return absolute or name.startswith(("~", "./", "../", ".\\", "..\\", "file:"))


def last_name(name: str) -> str:
    """Return the last part of a path on some machine, and any other name as it is."""
    return PureWindowsPath(name).name or "a folder" if is_local(name) else name


def without_folders(text: str) -> str:
    """Return a text in which each absolute path is only its last part."""
    if "/" not in text and "\\" not in text:
        return text
    return FOLDERS.sub("", text)
