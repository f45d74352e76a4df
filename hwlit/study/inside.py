"""What keeps a study inside its directory: plain names, plain files, no links."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwlit.errors import IntegrityError

SCHEMA = 1  # of study.json and the rows beside it


class LeavesError(IntegrityError):
    """A study leads out of its directory, which is no damage but somebody's intent."""


RUNS = ("runs", "replaced")  # what is inside a run is looked at by what goes on with it


def check_name(name: object, where: Path) -> str:
    """Return the name of a cell.

    Raises:
        LeavesError: It is no plain name of a file, and could lead out of the study's directory.
    """
    plain = isinstance(name, str) and name.isprintable() and name[:1] not in ("", ".")
    if not plain or not isinstance(name, str) or Path(name).name != name or "\\" in name:
        raise LeavesError(
            f"{where} names the cell {name!r}, which is no plain name of a file; a study's cells "
            "lie inside its directory: was it written by hwlit?"
        )
    return name


def check_row(row: Mapping[str, Any], name: str, where: Path) -> None:
    """Refuse a row that is of another cell, or of a run elsewhere.

    Raises:
        LeavesError: It is.
    """
    if row.get("name", name) != name:
        raise LeavesError(f"{where} is the row of {row['name']!r}, not of {name!r}; remove it")
    if row.get("run") not in (None, f"runs/{name}"):
        raise LeavesError(
            f"{where} names the run {row['run']!r}, not runs/{name}; a study's runs lie inside its "
            "directory: remove the row"
        )


def refuse_links(study: Path) -> None:
    """Refuse a study's directory in which anything is no plain file or folder.

    A link could lead to files of others, and a pipe is never read to its end.

    Raises:
        LeavesError: Something is; it is named.
    """
    waiting = [study]
    while waiting:
        folder = waiting.pop()
        for entry in sorted(folder.iterdir()):
            try:
                mode = entry.lstat().st_mode
            except FileNotFoundError:  # of a study that is going on, a file half written
                continue
            if stat.S_ISDIR(mode):
                if folder == study or folder.name not in RUNS:
                    waiting.append(entry)
            elif not stat.S_ISREG(mode):
                what = "a link" if stat.S_ISLNK(mode) else "no plain file"
                raise LeavesError(
                    f"{entry} is {what}; a study's directory holds plain files alone: replace "
                    "it by what it stands for"
                )
