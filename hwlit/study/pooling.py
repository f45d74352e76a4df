"""Readings of several seeds as one, with interval and spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hwlit.metrics.paired import mean_over_seeds
from hwlit.study.methods import Method

# The worse the later; what is pooled is as good as its worst.
TAGS = ("counted", "measured", "sampled", "estimated")
# Of 0 to 1, which Student's t knows nothing of.
SHARES = ("test/accuracy", "base/accuracy", "test/f1_macro", "test/f1_weighted", "test/f1_positive")


@dataclass(frozen=True)
class Pooled:
    """One quantity of a method over its seeds.

    Args:
        value: Mean over seeds, in SI units.
        unit: Unit of all the numbers.
        tag: "counted", "measured", "sampled" or "estimated"; the worst of the seeds.
        method: How the first seed's was obtained.
        least: Smallest over seeds.
        most: Largest over seeds.
        seeds: How many runs have it.
        low: Lower end of the 95 % interval of the mean, where each run has an interval.
        high: Upper end.
    """

    value: float
    unit: str
    tag: str
    method: str
    least: float
    most: float
    seeds: int
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def pooled(method: Method, name: str) -> Pooled | None:
    """Return a reading of a method over its seeds; None where no run has it, or in other units.

    The interval is that of one run's test rows where there is one run; of rows and seeds together
    where there are several, see `mean_over_seeds`.
    """
    readings = [
        run.record["readings"][name] for run in method.runs if name in run.record["readings"]
    ]
    if len({reading["unit"] for reading in readings}) != 1:  # none, or not one quantity
        return None
    found = pool(readings)
    if found.low is None or found.high is None or name not in SHARES:
        return found
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def pool(readings: Sequence[Mapping[str, Any]]) -> Pooled:
    """Return readings of one quantity as one; at least one, all in one unit."""
    values = [float(reading["value"]) for reading in readings]
    first = readings[0]
    low, high = first.get("low"), first.get("high")
    if len(readings) > 1:
        halves = [
            (r["high"] - r["low"]) / 2 if {"low", "high"} <= r.keys() else None for r in readings
        ]
        _, low, high = mean_over_seeds(values, halves)
    tags = [str(reading["method"]).partition(":")[0] for reading in readings]
    worst = max(tags, key=lambda tag: TAGS.index(tag) if tag in TAGS else len(TAGS))
    return Pooled(
        sum(values) / len(values), str(first["unit"]), worst, str(first["method"]),
        min(values), max(values), len(values), low, high,
    )  # fmt: skip
