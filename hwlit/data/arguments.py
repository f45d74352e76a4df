"""What the arguments of a data set may be, and its class weights."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hwlit.data.labels import label_text
from hwlit.errors import UsageError


def at_least(least: int, name: str, value: int) -> int:
    """Return a whole number.

    Raises:
        UsageError: It is less, or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"--data.{name} is {value!r}; give a whole number from {least}")
    return value


def whole(least: int, most: int, name: str, value: int) -> int:
    """Return a whole number in a range.

    Raises:
        UsageError: It is outside, or no whole number.
    """
    if at_least(least, name, value) > most:
        raise UsageError(f"--data.{name} is {value}; give a whole number from {least} to {most}")
    return value


def seed_in_range(name: str, value: int) -> int:
    """Return a seed of 32 bits, as seed_everything has.

    Raises:
        UsageError: It is none.
    """
    return whole(0, 2**32 - 1, name, value)


def workers(value: int) -> int:
    """Return a number of worker processes that a machine can start.

    Raises:
        UsageError: It is negative, or far above the processors here.
    """
    return whole(0, max(64, 4 * (os.cpu_count() or 1)), "num_workers", value)


def part_size(name: str, value: int | float) -> int | float:
    """Return the size of a part, a number of rows or a share.

    Raises:
        UsageError: It is neither.
    """
    if isinstance(value, float) and 0 < value < 1:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(
        f"--data.{name} is {value!r}; give a number of rows (from 1) or a share between 0 and 1"
    )


def class_weights(
    asked: Literal["balanced"] | Mapping[Any, float],
    names: Sequence[str],
    labels: Sequence[int],
) -> tuple[float, ...]:
    """Return the weight of each class, by class id.

    Args:
        asked: A mapping gives a class its weight by name, the others have 1. "balanced" gives
            rows / (classes * rows of the class), as in scikit-learn, so that all classes weigh the
            same together (King and Zeng, 2001, "Logistic regression in rare events data"); of the
            classes that occur, for one without a row has no weight to speak of and gets 1.
        names: The class names, in the order of their ids.
        labels: The class ids of the training rows.

    Raises:
        UsageError: The mapping names another class, or a weight is no number above 0.
    """
    if isinstance(asked, str):
        counts = Counter(labels)
        even = len(labels) / len(counts)
        return tuple(even / counts[i] if counts[i] else 1.0 for i in range(len(names)))
    given = {label_text(name): weight for name, weight in asked.items()}
    for name, weight in given.items():
        if name not in names:
            raise UsageError(
                f"--data.class_weights has {name!r}, which is no class; these are "
                f"{', '.join(map(repr, names))[:500]}"
            )
        if not (weight > 0 and math.isfinite(weight)):
            raise UsageError(
                f"--data.class_weights gives {name!r} the weight {weight}; give a number above 0"
            )
    return tuple(given.get(name, 1.0) for name in names)


def folder_of(given: str, flag: str) -> Path:
    """Return a path whose ~ is filled in.

    Raises:
        UsageError: There is no such user.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{flag} {given}: there is no such user here; give a whole path"
        ) from error


def unquoted(name: str) -> str:
    """Return a column's name without the quotes in which it came past the YAML parser."""
    if len(name) > 1 and name[0] == name[-1] == '"':
        with contextlib.suppress(ValueError):
            return str(json.loads(name))
    return name
