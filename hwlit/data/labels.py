"""From the values of a label column to classes: names in the order of their ids.

A value that is missing, or that another one resembles, is refused rather than guessed at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwlit.errors import DataError, UsageError

MAX_CLASSES = 1000
MISSING = ("", "nan", "null", "<na>")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Args:
        names: The name of each class, in the order of their ids.
        ids: The class id of each value that the label column may hold.
    """

    names: tuple[str, ...]
    ids: Mapping[str, int]


def label_text(value: Any) -> str | None:
    """Return a label as text: a whole number without its point (1.0 is "1"), a string as it is.

    Args:
        value: What the file holds: a string, number, boolean or null.

    Returns:
        The text; None for null and NaN.

    Raises:
        TypeError: It is none of these, or infinite.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise TypeError("infinity is no label")
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no label")


def is_missing(value: str | None) -> bool:
    """Return whether a label stands for none at all."""
    return value is None or value.strip().casefold() in MISSING


def find_classes(
    path: str, places: Mapping[str, str], rows: int, names: Sequence[str] | Mapping[Any, str] | None
) -> Classes:
    """Return the classes of a training file.

    Args:
        path: The file, for the refusal.
        places: The values of its label column, each with the place where it first occurs.
        rows: Number of its rows.
        names: None takes the values as names, sorted: numbers by size, others by code point. A list
            gives the values in the order of their ids or, where the values are the whole numbers
            from 0, their names. A mapping gives the name of each value; values of one name are one
            class.

    Raises:
        DataError: There are too few or too many classes, values that look alike, or a value that
            has no name.
        UsageError: A name is empty or comes twice.
    """
    classes = _named(list(places), names)
    for value, place in places.items():
        if value not in classes.ids:
            known = ", ".join(map(repr, classes.ids))[:300]
            raise DataError(
                f"{path}: {place} has the label {value[:80]!r}, which --data.label_names lacks "
                f"({known}); add it there, or correct or remove the row"
            )
    used = {classes.ids[value] for value in places}
    if len(used) < 2:
        raise DataError(
            f"{path} has the one label {next(iter(places))[:80]!r} in all {rows} rows; give rows "
            "of at least two classes, or another --data.label_column"
        )
    if len(used) > MAX_CLASSES or 2 * len(used) > rows:
        raise DataError(
            f"{path} has {len(used)} different labels in {rows} rows, such as "
            f"{next(iter(places))[:40]!r}: too many for classes (at most {MAX_CLASSES}, and two "
            "rows of each); name the right column by --data.label_column"
        )
    if not isinstance(names, Mapping):
        _check_alike(path, places)
    return classes


def _named(values: list[str], names: Sequence[str] | Mapping[Any, str] | None) -> Classes:
    if names is None:
        numeric = all(_number(value) is not None for value in values)
        order = sorted(values, key=lambda value: (float(value) if numeric else 0.0, value))
        return Classes(tuple(order), {value: i for i, value in enumerate(order)})
    keys = [str(label_text(key)) for key in names]
    order = list(dict.fromkeys(names.values())) if isinstance(names, Mapping) else list(names)
    if len(set(keys)) < len(keys):
        raise UsageError(f"--data.label_names has an entry twice: {', '.join(keys)}")
    if not all(name.strip() for name in order):
        raise UsageError("--data.label_names has an empty name; give every class a name")
    if isinstance(names, Mapping):
        ids = {key: order.index(name) for key, name in zip(keys, names.values(), strict=True)}
    elif not set(values) <= set(keys) and set(values) <= {str(i) for i in range(len(keys))}:
        ids = {str(i): i for i in range(len(keys))}
    else:
        ids = {key: i for i, key in enumerate(keys)}
    return Classes(tuple(order), ids)


def _check_alike(path: str, places: Mapping[str, str]) -> None:
    """Refuse values that differ only in case, white space or the form of a number."""
    seen: dict[str, str] = {}
    for value, place in places.items():
        number = _number(value)
        key = " ".join(value.split()).casefold() if number is None else str(number)
        if key in seen:
            first = seen[key]
            raise DataError(
                f"{path}: {place} has the label {value[:80]!r}, {places[first]} {first[:80]!r}; "
                "write them alike, or give each a name by "
                "--data.label_names '{value: name, ...}'"
            )
        seen[key] = value


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
