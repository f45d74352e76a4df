"""What a run's energy may be called, by how it was obtained.

Where no hardware counter can be read, energy is processor time times a constant. It then ranks runs
as their processor time does, and a comparison of both would count one measurement twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hwlit.records import Reading

MEASURED = "energy"
CPU_ONLY = "energy (CPU only, estimated)"
CPU_PART = "energy (CPU part estimated)"
RANKS_AS_TIME = f"{CPU_ONLY}: ranks runs as processor time does, times a constant"
RANGE = "in brackets: a range of assumptions, no confidence interval"


def energy_name(readings: Mapping[str, Reading]) -> str:
    """Return what to call the energy of a run on a screen or in a table.

    Args:
        readings: The readings of its record.
    """
    parts = {
        name.rpartition("/energy/")[2]: reading.how.tag
        for name, reading in readings.items()
        if "/energy/" in name
    }
    if not parts and "fit/energy" in readings:  # of a run that does not tell its parts
        parts = {"cpu": readings["fit/energy"].how.tag}
    if "estimated" not in parts.values():
        return MEASURED
    return CPU_ONLY if parts.keys() == {"cpu"} else CPU_PART


def ranks_as_processor_time(readings: Mapping[str, Reading]) -> bool:
    """Return whether the energy of a run is nothing but processor time times a constant."""
    return energy_name(readings) == CPU_ONLY


def common_name(runs: Iterable[Mapping[str, Reading]]) -> str:
    """Return what to call the energy of several runs in one table: `energy` where it differs.

    Args:
        runs: The readings of each.
    """
    names = {energy_name(readings) for readings in runs if "fit/energy" in readings}
    return names.pop() if len(names) == 1 else MEASURED
