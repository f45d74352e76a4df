"""The columns of a file by name: which there are, and which of them is perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hwlit.data.dialects import DELIMITERS, Dialect, delimiter_name
from hwlit.errors import DataError


def check_names(path: Path, names: Sequence[str], wanted: Iterable[str]) -> None:
    """Refuse a name that is read and that two columns have; others may have any names.

    Raises:
        DataError: One is.
    """
    for column in wanted:
        if names.count(column) > 1:
            raise DataError(
                f"{path} has the column {column[:80]!r} twice; rename or remove one of them"
            )


def check_columns(path: Path, names: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Refuse a file that lacks a column.

    Args:
        path: The file, for the refusal.
        names: The names of its columns.
        wanted: The columns that are read; to each, what the user can do where it is missing.

    Raises:
        DataError: It does.
    """
    for column, remedy in wanted.items():
        if column not in names:
            near = _nearest(column, names)
            raise DataError(
                f"{path} has no column {column!r}, only {told_names(names)}; {remedy}"
                + ("" if near is None else f" (perhaps {near[:80]!r})")
            )


def check_header(
    path: Path,
    names: Sequence[str],
    wanted: Mapping[str, str],
    delimiter: str,
    dialect: Dialect,
) -> None:
    """Refuse a CSV file whose header lacks a column that is read, or has it twice.

    Args:
        path: The file, for the refusal.
        names: The names in its header.
        wanted: As in `check_columns`.
        delimiter: By which the header was parted.
        dialect: How the file is written.

    Raises:
        DataError: It does; where another delimiter or no header is the cause, it says so.
    """
    check_names(path, names, wanted)
    missing = [column for column in wanted if column not in names]
    if not missing:
        return
    if (other := other_delimiter(names, wanted, delimiter)) is not None:
        raise DataError(
            f"{path} has no column {missing[0]!r}, only {told_names(names)}; part its columns by "
            f"commas (.csv) or tabs (.tsv){dialect.or_flag('delimiter', delimiter_name(other))}"
        )
    headless = dialect.flags and dialect.columns is None and len(missing) == len(wanted)
    if headless and not any(_nearest(column, names) for column in missing):
        raise DataError(
            f"{path} has no column {missing[0]!r}, only {told_names(names)}; {wanted[missing[0]]}, "
            f"or where its first line is no header, name all its columns in order by "
            "--data.columns '[...]'"
        )
    check_columns(path, names, wanted)


def other_delimiter(names: Sequence[str], wanted: Collection[str], delimiter: str) -> str | None:
    """Return another delimiter that parts the header as wanted, or seems to part its one field."""
    header = delimiter.join(names)
    if (found := delimiter_by_names(header, wanted, delimiter)) is not None or len(names) > 1:
        return found
    counts = {mark: header.count(mark) for mark in DELIMITERS.values()}
    likely = max(counts, key=lambda mark: counts[mark])
    return likely if counts[likely] else None


def delimiter_by_names(header: str, wanted: Collection[str], but: str) -> str | None:
    """Return the delimiter that parts a line into names among which are all wanted ones, if any.

    Args:
        header: The line.
        wanted: The names.
        but: A delimiter that does not.
    """
    for mark in DELIMITERS.values() if wanted else ():
        if mark != but and {name.strip(' "\r\n') for name in header.split(mark)} >= {*wanted}:
            return mark
    return None


def told_names(names: Sequence[str]) -> str:
    """Return the names of columns for people, the first of them where there are many."""
    return ", ".join(repr(name[:80]) for name in names[:50])[:500]


def _nearest(column: str, names: Sequence[str]) -> str | None:
    """Return the column that is perhaps meant: other case or spaces, another place, or letters."""
    plain = column.strip().casefold()
    for name in names:
        if name.strip().casefold() == plain:
            return name
    inner = [name for name in names if name.rsplit(".", 1)[-1].casefold() == plain]
    close = difflib.get_close_matches(column, names[:50], n=1, cutoff=0.8)
    return next(iter(inner or close), None)
