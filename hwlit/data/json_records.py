"""Objects of JSON as rows: one a line, a list of them, or a table of columns.

JSON lines: one object a line (https://jsonlines.org), https://www.rfc-editor.org/rfc/rfc8259.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hwlit.data.columns import check_columns, check_names
from hwlit.data.files import check_memory
from hwlit.errors import DataError

NAMES_KEPT = 1000  # of columns, to say what there is instead of one that is not
NAMES_SHOWN, DEPTH_SHOWN = 60, 10  # of values within values
# Memory that a document takes beyond its text, measured: for each brace and bracket, each comma.
BRACE_TAKES, COMMA_TAKES = 250, 35
ABSENT = object()
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
KINDS |= {int: "a number", float: "a number"}
_SPACE = re.compile(r"[ \t\r\n]*+")

Row = dict[str, Any]


def read_json(
    path: Path, text: str, wanted: Mapping[str, str], label: str | None
) -> tuple[list[Row], list[int] | None]:
    """Return the wanted values of each row, and the line on which each row begins, where known.

    One object a line; else one document: a list of objects, an object of which one list of objects
    is the data, or an object of columns, each a list or, as pandas writes them, an object by index.
    "a.b" is the value b of the object a, and "a.0" is the only item of the list a.

    Args:
        path: The file, for the refusal.
        text: What it holds.
        wanted: The columns to read; to each, what the user can do where it is missing.
        label: The column of the label, where there is one: a row without it has None there.

    Raises:
        DataError: It is no JSON, or it cannot be told what its rows are, or a column is missing.
        ResourceError: It takes more memory than is free.
    """
    asked = {name for column in wanted for name in (column, *column.split("."))}
    decoder = json.JSONDecoder(object_pairs_hook=_Unique(asked))
    lines = text.split("\n" if "\n" in text else "\r")
    whole = [number for number, line in enumerate(lines) if line.strip()]
    objects: Iterable[tuple[int | None, Any]]
    if len(whole) > 1 and _is_object(lines[whole[0]]):
        objects = ((n + 1, _decoded(path, decoder, lines[n], n + 1)) for n in whole)
    else:
        del lines
        braces, commas = text.count("{") + text.count("["), text.count(",")
        check_memory(path, BRACE_TAKES * braces + COMMA_TAKES * commas, f"{braces:,} JSON values")
        objects = _document(path, decoder, text, wanted)
    return _rows(path, objects, wanted, label)


def value_of(found: Row, column: str) -> Any:
    """Return a value of an object, of an object in it ("a.b"), or a list's only item ("a.0").

    Returns:
        The value, None for an item of an empty list, `ABSENT` where there is none.

    Raises:
        ValueError: A list has more items.
    """
    if column in found:
        return found[column]
    value: Any = found
    for name in column.split("."):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name == "0":
            if len(value) > 1:
                raise ValueError(f"has {len(value)} items where {column[:80]!r} takes the only one")
            if not value:
                return None
            value = value[0]
        else:
            return ABSENT
    return value


class _TwiceError(ValueError):
    """A name comes twice in an object."""


class _Unique:
    """Makes objects, and refuses a name that is read and comes twice in one; others may.

    Args:
        asked: The names that are read.
    """

    def __init__(self, asked: set[str]) -> None:
        self.asked = asked

    def __call__(self, pairs: list[tuple[str, Any]]) -> Row:
        """Return an object."""
        found = dict(pairs)
        if len(found) < len(pairs):
            for name, count in Counter(name for name, _ in pairs).items():
                if count > 1 and name in self.asked:
                    raise _TwiceError(f"{name[:80]!r} twice; remove one of them")
        return found


def _rows(
    path: Path,
    objects: Iterable[tuple[int | None, Any]],
    wanted: Mapping[str, str],
    label: str | None,
) -> tuple[list[Row], list[int] | None]:
    rows: list[Row] = []
    lines: list[int | None] = []
    names: dict[str, None] = {}
    for line, found in objects:
        if not isinstance(found, dict):
            raise DataError(
                f"{path}: {_place(line, len(rows))} holds {_kind(found)}; write one JSON "
                "object a line"
            )
        try:
            rows.append({column: value_of(found, column) for column in wanted})
        except ValueError as error:
            raise DataError(
                f"{path}: {_place(line, len(rows))} {error}; write a row for each, or remove them"
            ) from error
        if not names:
            names = dict.fromkeys(inner_names(found))
        elif len(names) < NAMES_KEPT:
            names |= dict.fromkeys(n for n, v in found.items() if not isinstance(v, dict | list))
        lines.append(line)
    if not rows:
        raise DataError(f"{path} has no rows; give a file with at least one row")
    missing = {c: wanted[c] for c in wanted if all(row[c] is ABSENT for row in rows)}
    check_columns(path, list(names), missing)
    for line, row in zip(lines, rows, strict=True):
        for column, value in row.items():
            if value is ABSENT and column != label:
                number = next(i for i, other in enumerate(rows) if other is row)
                raise DataError(
                    f"{path}: {_place(line, number)} has no {column!r}; add it or remove the row"
                )
            row[column] = None if value is ABSENT else value
    known = [line for line in lines if line is not None]
    return rows, known if len(known) == len(rows) else None


def _place(line: int | None, row: int) -> str:
    return f"row {row} (the first is 0)" if line is None else f"line {line}"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _decoded(path: Path, decoder: json.JSONDecoder, line: str, number: int) -> Any:
    try:
        return decoder.decode(line)
    except _TwiceError as error:
        raise DataError(f"{path}: line {number} has {error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: line {number} is no JSON ({error}); write one JSON object a line"
        ) from error


def _document(
    path: Path, decoder: json.JSONDecoder, text: str, wanted: Mapping[str, str]
) -> Iterator[tuple[int | None, Any]]:
    """Yield the rows of one JSON value, or several values one after another, with their lines."""
    values: list[tuple[int, Any]] = []
    at, line = _after_space(text, 0), 1
    line += text.count("\n", 0, at)
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except _TwiceError as error:
            raise DataError(f"{path} has an object with {error}") from error
        except (ValueError, RecursionError) as error:
            number = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise DataError(
                f"{path}: line {number} is no JSON ({error}); write one JSON object a line, or a "
                "list of them"
            ) from error
        values.append((line, value))
        end = _after_space(text, end)
        at, line = end, line + text.count("\n", at, end)
    if len(values) > 1:
        yield from values
    else:
        for row in _rows_in(path, values[0][1], wanted):
            yield (values[0][0] if row is values[0][1] else None), row


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None  # it matches nothing, too
    return found.end()


def _rows_in(path: Path, found: Any, wanted: Mapping[str, str]) -> list[Any]:
    """Return the rows of a document.

    Raises:
        DataError: It cannot be told what they are.
    """
    if isinstance(found, list):
        return found
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path} holds {_told(found)}; write a list of objects")
    if (columns := _columns(path, found, wanted)) is not None:
        return columns
    values = list(found.values())
    tables = [name for name, value in found.items() if _is_table(value)]
    fit = [name for name in tables if _has_all(found[name][0], wanted)]
    if len(fit or tables) == 1:
        return list(found[(fit or tables)[0]])
    if not tables and all(isinstance(value, dict) for value in values):
        # As pandas writes it by index; where it is one object alone, that may be of columns.
        return values if len(values) > 1 else _rows_in(path, values[0], wanted)
    if not tables and (_has_all(found, wanted) or not _nested(values)):
        return [found]
    parts = ", ".join(f"{name[:80]!r} ({_told(value)})" for name, value in found.items())
    raise DataError(
        f"{path} holds one object with {parts[:300]}, and it cannot be told which of these are the "
        "rows; write a list of objects"
    )


def _columns(path: Path, found: Row, wanted: Mapping[str, str]) -> list[Row] | None:
    """Return the rows of an object of columns, None where it is none.

    Raises:
        DataError: The columns differ in their rows.
    """
    if isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):  # pandas
        names = list(map(str, found["columns"]))
        if all(isinstance(row, list) and len(row) == len(names) for row in found["data"]):
            check_names(path, names, wanted)
            return [dict(zip(names, row, strict=True)) for row in found["data"]]
    columns = {name: found[name] for name in wanted if name in found}
    if len(columns) < len(wanted) and _is_indexed(list(found.values())):
        columns = found  # of other names, to be told
    for kind in (list, dict):
        if len(columns) >= len(wanted) and all(isinstance(c, kind) for c in columns.values()):
            keys = [range(len(c)) if kind is list else c.keys() for c in columns.values()]
            if any(set(other) != set(keys[0]) for other in keys):
                raise DataError(
                    f"{path} has columns that differ in their rows "
                    f"({', '.join(f'{n!r}: {len(c)}' for n, c in columns.items())[:300]}); write a "
                    "list of objects"
                )
            return [{name: c[key] for name, c in columns.items()} for key in keys[0]]
    return None


def _is_indexed(values: list[Any]) -> bool:
    """Return whether values are lists of one length, or objects by number, as columns are."""
    if all(isinstance(value, list) and not _is_table(value) for value in values):
        return len({len(value) for value in values}) == 1
    return all(isinstance(v, dict) and v and all(key.isdigit() for key in v) for v in values)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _has_all(row: Row, wanted: Mapping[str, str]) -> bool:
    try:
        return all(value_of(row, column) is not ABSENT for column in wanted)
    except ValueError:  # it is there, and more than once
        return True


def _nested(values: Iterable[Any]) -> bool:
    return any(isinstance(value, dict | list) for value in values)


def _told(value: Any) -> str:
    return f"a list of {len(value):,}" if isinstance(value, list) else _kind(value)


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS[type(value)]


def inner_names(found: Row) -> list[str]:
    """Return the names by which the values of an object can be read, some of them."""
    names: list[str] = []
    left: list[tuple[str, Any, int]] = [(name, found[name], 0) for name in reversed(found)]
    while left and len(names) < NAMES_SHOWN:
        name, value, depth = left.pop()
        if depth < DEPTH_SHOWN and isinstance(value, dict) and value:
            left += [(f"{name}.{n}", value[n], depth + 1) for n in reversed(value)]
        elif depth < DEPTH_SHOWN and isinstance(value, list) and len(value) == 1:
            left.append((f"{name}.0", value[0], depth + 1))
        else:
            names.append(name)
    return names
