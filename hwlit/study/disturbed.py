"""Which times and energies of a run were not its own machine's alone."""

from __future__ import annotations

from collections.abc import Iterable

from hwlit.records import Disturbance, Record
from hwlit.study.collect import Run

UNITS = ("s", "J", "1/s")  # what another process changes; bytes and counts stay as they are
TRAINING = ("fit", "train", "warmup")  # phases of the train loop


def disturbances(record: Record, name: str) -> list[Disturbance]:
    """Return what disturbed a reading, by its name; `run/...` is disturbed by whatever was."""
    reading = record.readings.get(name)
    if reading is not None and reading.unit not in UNITS:
        return []
    stem = name.partition("/")[0]
    if stem == "run":
        return list(record.disturbed)
    phases = TRAINING if stem in ("fit", "time_to_baseline") else (stem,)
    return [one for one in record.disturbed if one.phase in phases]


def undisturbed(runs: Iterable[Run], name: str) -> tuple[list[Run], list[Run]]:
    """Return the runs whose reading nothing disturbed, and the others."""
    calm: list[Run] = []
    rest: list[Run] = []
    for run in runs:
        (rest if disturbances(run.record, name) else calm).append(run)
    return calm, rest


def usable(runs: Iterable[Run], name: str) -> list[Run]:
    """Return the runs whose reading counts: those that nothing disturbed, or all if none is so."""
    calm, rest = undisturbed(runs, name)
    return calm or rest
