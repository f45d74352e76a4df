"""Which times and energies of a run were not its own machine's alone."""

from __future__ import annotations

from collections.abc import Iterable

from hwlit.records import Disturbance, Record
from hwlit.study.collect import Run

RATES = ("s", "1/s", "FLOP/s", "J", "W")
"""Units of what depends on how fast the machine was."""
SHARES = ("fit/share_of_peak", "fit/processor_utilisation")
"""The same, without a unit. A ratio of latencies is none: its parts were timed in turns."""
TRAINING = ("fit", "train", "warmup")  # phases of the train loop


def disturbances(record: Record, name: str) -> list[Disturbance]:
    """Return what disturbed a figure, by its name; nothing where it is the machine's alone.

    The time of a whole run is disturbed where a phase of it is. Quality, memory and counts never
    are.

    Args:
        record: The run's record. One without `disturbed` was written before that was looked at,
            and says nothing.
        name: Name of the reading, such as `fit/step_time`, or of what follows from readings.
    """
    reading = record.readings.get(name)
    if reading is not None and reading.unit not in RATES and name not in SHARES:
        return []
    stem = name.partition("/")[0]
    if stem == "run":
        return list(record.disturbed or ())
    phases = TRAINING if stem in ("fit", "time_to_baseline") else (stem,)
    return [one for one in record.disturbed or () if one.phase in (*phases, "run")]


def undisturbed(runs: Iterable[Run], name: str) -> tuple[list[Run], list[Run]]:
    """Return the runs whose reading nothing disturbed, and the others."""
    calm: list[Run] = []
    rest: list[Run] = []
    for run in runs:
        (rest if disturbances(run.record, name) else calm).append(run)
    return calm, rest


def repeated(runs: Iterable[Run]) -> list[Run]:
    """Return the runs whose two seeds an earlier one of the same method has, too."""
    seen: set[tuple[int, int]] = set()
    found = []
    for run in runs:
        if run.record.seed is None:  # of an unknown seed nobody knows that it repeats
            continue
        if run.seeds in seen:
            found.append(run)
        seen.add(run.seeds)
    return found


def usable(runs: Iterable[Run], name: str) -> list[Run]:
    """Return the runs whose reading counts: those that nothing disturbed, or all if none is so.

    Of a measure of quality, runs that repeat both seeds of another one are no draw of their own.
    """
    calm, rest = undisturbed(runs, name)
    found = calm or rest
    known = [one for run in found if (one := run.record.readings.get(name)) is not None]
    if all(one.measure.role == "quality" for one in known):
        again = {id(run) for run in repeated(found)}
        found = [run for run in found if id(run) not in again]
    return found
