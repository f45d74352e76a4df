"""Sizes, durations and energies as people write them: 8GiB, 500MB, 30min, 1.5h, 50Wh."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from hwlit.errors import UsageError

MEMORY = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}
MEMORY |= {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# No MJ: in another case it is a thousandth.
ENERGY = {"J": 1.0, "kJ": 1e3, "Wh": 3600.0, "kWh": 3.6e6}
NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def seconds(what: str, value: object) -> float:
    """Return a duration in seconds.

    Args:
        what: What it is for, as the error names it.
        value: A text such as `90s`, `30min` and `2h`, or a number of seconds.

    Raises:
        UsageError: It is no duration above 0.
    """
    return quantity(what, value, TIME, "s")


def size(what: str, value: object) -> float:
    """Return a size in bytes.

    Args:
        what: What it is for, as the error names it.
        value: A text such as `500MiB` and `8GB`, or a number of bytes.

    Raises:
        UsageError: It is no size above 0.
    """
    return quantity(what, value, MEMORY, "B")


def quantity(what: str, value: object, units: Mapping[str, float], plain: str = "") -> float:
    """Return a quantity in SI units.

    Args:
        what: What it is for, as the error names it.
        value: A number and one of the units, in capitals or not.
        units: What each is in SI units.
        plain: The unit of a number alone; "" where it needs one.

    Raises:
        UsageError: It is none above 0.
    """
    found = NUMBER.fullmatch(str(value).strip())
    known = {unit.lower(): factor for unit, factor in units.items()}
    factor = known.get((found[2] or plain).lower()) if found else None
    most = 0.0 if found is None or factor is None else float(found[1]) * factor
    if not 0 < most < math.inf:
        raise UsageError(f"{what} {value!r} is no quantity; give a number and {' or '.join(units)}")
    return most
