"""By which reading methods are ranked, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.errors import UsageError
from hwlit.study.collect import Run

QUALITY = ("test/accuracy", "test/f1_macro", "test/clip_i", "test/clip_t", "test/loss")
LESS_IS_BETTER = ("loss", "score", "error", "kid", "drift", "memorising")  # last word of a metric
NOT_QUALITY = ("wall_time", "energy", "peak_memory")
COST_UNITS = ("s", "B", "J")


def metric_of(runs: Sequence[Run], asked: str | None, usual: str | None) -> str:
    """Return the name of the reading that quality is.

    Args:
        runs: Those that finished.
        asked: By the user, with or without `test/`.
        usual: The study's.

    Raises:
        UsageError: No run has what was asked for.
    """
    readings = {name: None for run in runs for name in run.record["readings"]}
    if asked is None:
        return usual or next((name for name in QUALITY if name in readings), QUALITY[0])
    if not readings or asked in readings:
        return asked
    if f"test/{asked}" in readings:
        return f"test/{asked}"
    told = [n for n in readings if n.startswith("test/") and not n.endswith(NOT_QUALITY)]
    raise UsageError(f"no run has {asked!r}; there are {', '.join(sorted(told)) or 'no metrics'}")


def mode_in(runs: Sequence[Run], metric: str) -> str:
    """Return whether `max` or `min` of a reading is best: less of a cost, else as its name says."""
    readings = (run.record["readings"].get(metric) for run in runs)
    units = {reading["unit"] for reading in readings if reading is not None}
    cost = not units.isdisjoint(COST_UNITS) or metric.startswith("params/")
    return "min" if cost else mode_of(metric)


def mode_of(metric: str) -> str:
    """Return whether `max` or `min` of a measure of quality is best, by its name."""
    return "min" if metric.endswith(LESS_IS_BETTER) else "max"
