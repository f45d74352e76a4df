"""From the values of a label column to classes: names in the order of their ids.

A value that is missing, or that another one resembles, is refused rather than guessed at.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwlit.errors import DataError, UsageError

MAX_CLASSES = 1000
MISSING = ("", "nan", "null", "<na>")
# Taken as classes and told: "none" is one of some data sets, and "NA" may be Namibia.
DOUBTFUL = ("na", "n/a", "none")
NAMES_SHOWN = 20  # of labels, as --data.label_names would have them
_WHOLE = re.compile(r"([+-]?\d+)\.0*")  # a whole number with a point
# As pandas writes lists, tuples and sets into a CSV file.
_LIST = re.compile(r"\[(.*)\]|\((.*)\)|\{(.*)\}", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # commas in "1,000-5,000"
_DIGITS = re.compile(r"[\d,\s'\"]*")
_COMMA_NUMBER = re.compile(r"[+-]?\d+(,\d+)?")  # with a decimal comma


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Args:
        names: The name of each class, in the order of their ids.
        ids: The class id of each value that the label column may hold.
    """

    names: tuple[str, ...]
    ids: Mapping[str, int]

    def id_of(self, value: str) -> int | None:
        """Return the class id of a value, 1.0 being 1; None where it is no class."""
        return self.ids.get(value, self.ids.get(without_point(value)))


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


def without_point(value: str) -> str:
    """Return a whole number without its point ("1.0" is "1"), any other text as it is."""
    whole = _WHOLE.fullmatch(value)
    return value if whole is None else whole[1]


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
        names: None takes the values as names, sorted: numbers by size, others by code point; where
            all are whole numbers, 1.0 is 1. A list gives the values in the order of their ids or,
            where the values are the whole numbers from 0, their names. A mapping gives the name of
            each value; values of one name are one class.

    Raises:
        DataError: There are too few or too many classes, values that look alike, or a value that
            has no name; or the values, unnamed, look like scores or like several labels in one.
        UsageError: A name is empty or comes twice.
    """
    classes = _named(list(places), names)
    if names is None:
        _check_scores(path, places)
    if names is None and len(places) <= MAX_CLASSES:
        _check_joined(path, places)
    if names is None and all(map(_COMMA_NUMBER.fullmatch, places)):
        _check_scores(path, places, point=",")
    ids = {value: classes.id_of(value) for value in places}
    for value, place in places.items():
        if ids[value] is None:
            known = ", ".join(map(repr, classes.ids))[:300]
            raise DataError(
                f"{path}: {place} has the label {value[:80]!r}, which --data.label_names lacks "
                f"({known}); add it there, or correct or remove the row"
            )
    used = set(ids.values())
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
        _check_alike(path, places, classes)
    return classes


def _named(values: list[str], names: Sequence[str] | Mapping[Any, str] | None) -> Classes:
    if names is None:
        bare = [without_point(value) for value in values]
        if all(value.lstrip("+-").isdecimal() for value in bare):
            values = list(dict.fromkeys(bare))
        numeric = all(_number(value) is not None for value in values)
        order = sorted(values, key=lambda value: (float(value) if numeric else 0.0, value))
        return Classes(tuple(order), {value: i for i, value in enumerate(order)})
    keys = [str(label_text(key)) for key in names]
    order = list(dict.fromkeys(names.values())) if isinstance(names, Mapping) else list(names)
    if len(set(keys)) < len(keys):
        raise UsageError(f"--data.label_names has an entry twice: {', '.join(keys)}")
    if not all(name.strip() for name in order):
        raise UsageError("--data.label_names has an empty name; give every class a name")
    if not set(values) <= set(keys):  # no value is named as it is written: 1.0 is 1
        bare = [without_point(key) for key in keys]
        keys = bare if len(set(bare)) == len(bare) else keys
        values = [without_point(value) for value in values]
    if isinstance(names, Mapping):
        ids = {key: order.index(name) for key, name in zip(keys, names.values(), strict=True)}
    elif not set(values) <= set(keys) and set(values) <= {str(i) for i in range(len(keys))}:
        ids = {str(i): i for i in range(len(keys))}
    else:
        ids = {key: i for i, key in enumerate(keys)}
    return Classes(tuple(order), ids)


def _check_alike(path: str, places: Mapping[str, str], classes: Classes) -> None:
    """Refuse values of two classes that differ only in case, white space or form of a number."""
    seen: dict[str, str] = {}
    for value, place in places.items():
        number = _number(value)
        key = " ".join(value.split()).casefold() if number is None else str(number)
        if key in seen and classes.id_of(value) != classes.id_of(seen[key]):
            first = seen[key]
            raise DataError(
                f"{path}: {place} has the label {value[:80]!r}, {places[first]} {first[:80]!r}; "
                "write them alike, or give each a name by "
                "--data.label_names '{value: name, ...}'"
            )
        seen.setdefault(key, value)


def _check_scores(path: str, places: Mapping[str, str], point: str = ".") -> None:
    """Refuse numbers of which one has a fraction: a score to predict is no class."""
    numbers = [_number(value.replace(point, ".")) for value in places]
    if None in numbers:
        return
    for value, number in zip(places, numbers, strict=True):
        if number is not None and not number.is_integer():
            raise DataError(
                f"{path}: {places[value]} has the label {value[:80]!r}, as scores have, and scores "
                "are not learnt (regression), only classes; name another column by "
                f"--data.label_column or, if they are classes, each by {_as_names(places)}"
            )


def _check_joined(path: str, places: Mapping[str, str]) -> None:
    """Refuse values that are several labels in one.

    That is seen by a label of them that stands alone elsewhere, or in another place of another
    value, as in "a|b" and "b|c"; the pieces of "Paris, France" keep their places.
    """
    pieces = {value: _pieces(value) for value in places}
    found_at: dict[str, set[int]] = {}
    for found in pieces.values():
        for at, piece in enumerate(found):
            found_at.setdefault(piece, set()).add(at if len(found) > 1 else -1)
    scores = all(map(_COMMA_NUMBER.fullmatch, places))
    what, limits = (" or a score", ", no regression") if scores else ("", "")
    for value, found in pieces.items():
        if len(found) > 1 and any(len(found_at[piece]) > 1 for piece in found):
            raise DataError(
                f"{path}: {places[value]} has the label {value[:80]!r}, several in one "
                f"({' and '.join(found)[:80]}){what}, and one class a row is learnt (no "
                f"multi-label{limits}); give rows of one class or, if each value is a class, name "
                f"it by {_as_names(places)}"
            )


def _pieces(value: str) -> list[str]:
    """Return the labels that one value may hold: parted by marks, as numbers also by spaces."""
    within = _LIST.fullmatch(value.strip())
    inner = value if within is None else "".join(filter(None, within.groups()))
    if _DIGITS.fullmatch(inner) is None:  # else "5,120" are two numbers of classes
        inner = _THOUSANDS.sub("", inner)
    parts = re.split(r"[,;|/+]", inner)
    if len(parts) == 1 and all(map(str.isdecimal, inner.split())):
        parts = inner.split()
    stripped = (part.strip(" \t\r\n'\"") for part in parts)
    return list(dict.fromkeys(filter(None, stripped))) or [value]  # "C/C++" is no two labels


def _as_names(places: Mapping[str, str]) -> str:
    """Return the flag that names the values, with them where they are few."""
    values = sorted(places, key=lambda value: (_number(value) or 0.0, value))
    if len(values) > NAMES_SHOWN:
        return "--data.label_names"
    return f"--data.label_names '{json.dumps(values, ensure_ascii=False)[:500]}'"


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
