"""What a user can spend on a training: memory, time, energy."""

from __future__ import annotations

from dataclasses import dataclass

from hwlit.study.quantities import ENERGY, MEMORY, TIME, quantity


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
    return Limit(option, reading, what, quantity(option, text, units), text.strip())
