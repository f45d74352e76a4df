"""Whether a figure of a run is of a machine that was not the run's alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RATES = ("s", "1/s", "FLOP/s", "J", "W")
"""Units of what depends on how fast the machine was."""
SHARES = ("fit/share_of_peak", "fit/processor_utilisation")
"""The same, without a unit. A ratio of latencies is none: its parts were timed in turns."""


def is_disturbed(record: Mapping[str, Any], name: str) -> str | None:
    """Return why a reading is not what the machine does alone; None where it is, or may be.

    The time of a whole run is disturbed where a phase of it is. Quality, memory and counts never
    are.

    Args:
        record: The record as plain data. One without `disturbed` was written before that was
            looked at, and says nothing.
        name: Name of the reading, such as `fit/step_time`.
    """
    reading = record.get("readings", {}).get(name, {})
    if reading.get("unit") not in RATES and name not in SHARES:
        return None
    phase = name.partition("/")[0]
    found = [one for one in record.get("disturbed", ()) if phase in (one["phase"], "run")]
    told = dict.fromkeys(
        f"{one['cause']} {100 * one['value']:.0f} % in {one['phase']} "
        f"(limit {100 * one['limit']:.0f} %)"
        for one in found
    )
    return ", ".join(told) or None
