"""Sizes and durations as people write them: 8GiB, 500MB, 30min, 1.5h."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hwlit.errors import UsageError
from hwlit.study.limits import MEMORY, TIME


def seconds(what: str, value: object) -> float:
    """Return a duration in seconds.

    Args:
        what: What it is for, as the error names it.
        value: A text such as `90s`, `30min` and `2h`, or a number of seconds.

    Raises:
        UsageError: It is no duration above 0.
    """
    return _parse(what, value, TIME, "s", "90s, 30min or 2h")


def size(what: str, value: object) -> float:
    """Return a size in bytes.

    Args:
        what: What it is for, as the error names it.
        value: A text such as `500MiB` and `8GB`, or a number of bytes.

    Raises:
        UsageError: It is no size above 0.
    """
    return _parse(what, value, MEMORY, "B", "500MiB or 8GB")


def _parse(what: str, value: object, units: Mapping[str, float], plain: str, usual: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    known = {unit.lower(): factor for unit, factor in units.items()}
    factor = known.get((found[2] or plain).lower()) if found else None
    if found is None or factor is None or float(found[1]) <= 0:
        raise UsageError(f"{what} {value!r} is not understood; give {usual}")
    return float(found[1]) * factor
