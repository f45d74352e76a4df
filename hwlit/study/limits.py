"""What a user can spend on a training: memory, time, energy."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hwlit.errors import UsageError

MEMORY = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}
MEMORY |= {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
ENERGY = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6}
NUMBER = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([A-Za-z]+)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Limit:
    """The most that a reading may be.

    Args:
        option: What the user calls it: `--max-memory`.
        reading: Name of the reading.
        what: The quantity in words.
        most: In SI units.
        text: As the user gave it.
    """

    option: str
    reading: str
    what: str
    most: float
    text: str


# Option: reading, words, units.
KINDS = {
    "--max-memory": ("fit/peak_memory", "peak memory", MEMORY),
    "--max-time": ("fit/wall_time", "train loop", TIME),
    "--max-energy": ("fit/energy", "energy of the train loop", ENERGY),
}


def limit(option: str, text: str) -> Limit:
    """Return a limit as the user wrote it, such as `8GiB`, `30min` or `50Wh`.

    Raises:
        UsageError: It is no positive number with a unit of its kind.
    """
    reading, what, units = KINDS[option]
    found = NUMBER.fullmatch(text)
    exact = {**{unit.lower(): unit for unit in units}, **{unit: unit for unit in units}}
    unit = None if found is None else exact.get(found[2]) or exact.get(found[2].lower())
    most = 0.0 if found is None or unit is None else float(found[1]) * units[unit]
    if not 0 < most < math.inf:
        raise UsageError(f"{option} {text!r} is no limit; give a number and {' or '.join(units)}")
    return Limit(option, reading, what, most, text)
