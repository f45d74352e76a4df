"""Readings of several seeds as one, with interval and spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hwlit.records import How, Measure, Reading, Tag, worst
from hwlit.statistics.intervals import Interval, mean_interval
from hwlit.statistics.parts import Parts, parts_without_rows
from hwlit.study.disturbed import undisturbed, usable
from hwlit.study.evidence import Evidence
from hwlit.study.methods import Method

LARGEST_LOG = 700.0  # its exponential is still a number


@dataclass(frozen=True)
class Pooled:
    """One quantity of a method over its seeds.

    Args:
        value: Mean over seeds, in SI units.
        unit: Unit of all the numbers.
        how: How it was obtained; the tag is the worst of the seeds', the text the first seed's.
        measure: What the number means.
        least: Smallest over seeds.
        most: Largest over seeds.
        seeds: How many runs have it.
        low: Lower end of the 95 % interval of the mean; None where there is too little to tell.
        high: Upper end.
        of_this_run: Whether the interval speaks of one trained model only, and not of the method.
        parts: The variance of the mean in parts, where there is one: `k` runs, `N` test rows,
            `V_row` by the draw of the rows, `E0` and `T`: the spread of the runs without and by
            noise of training, `df` degrees of freedom, and `lent`, whether other methods lent the
            noise of training.
        left_out: How many runs are not in it, for something else used their machine.
        disturbed: Whether that is so of every run, so that the number is not the machine's alone.
    """

    value: float
    unit: str
    how: How
    measure: Measure
    least: float
    most: float
    seeds: int
    low: float | None = None
    high: float | None = None
    of_this_run: bool = False
    parts: dict[str, float | None] | None = None
    left_out: int = 0
    disturbed: bool = False

    @property
    def tag(self) -> Tag:
        """Whether it was counted, measured, sampled or estimated."""
        return self.how.tag

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def pooled(method: Method, name: str, evidence: Evidence) -> Pooled | None:
    """Return a reading of a method over its seeds; None where no run has it, or in other units.

    The interval of one run is the run's own; that of several is of test rows and seeds together.

    Args:
        method: The runs.
        name: Name of the reading.
        evidence: What is known of the test rows.
    """
    found = evidence.scored(method, name)
    if found is None:
        return None
    having = [run for run in method.runs if name in run.record.readings]
    calm, disturbed = undisturbed(having, name)
    readings = [run.record.readings[name] for run in usable(having, name)]
    lent = evidence.lent(method, name) if found.why_no_rows is None else None
    first, bounds = readings[0], _bounds(readings[0].measure)
    interval = mean_interval(found.scores.parts, lent, bounds)
    if interval.of_this_run and first.low is not None and first.high is not None:
        ends: tuple[float | None, float | None] = (
            max(bounds[0], first.low),
            min(bounds[1], first.high),
        )
    else:
        ends = interval.low, interval.high
    made = _pooled(readings, ends, interval.of_this_run, _plain(found.scores.parts, interval))
    if not math.isclose(made.value, interval.mean, rel_tol=1e-9, abs_tol=1e-12):
        made = replace(
            made, value=interval.mean
        )  # divisions count alike, however many runs each has
    left_out = len(disturbed) if calm else 0
    return replace(made, left_out=left_out, disturbed=bool(disturbed) and not calm)


def pool_calm(method: Method, name: str, readings: Mapping[int, Reading]) -> Pooled:
    """Return what runs took of a cost that is no reading of their records, as one.

    Args:
        method: The runs.
        name: What is computed.
        readings: By the identity of the run; at least one.
    """
    calm, disturbed = undisturbed([run for run in method.runs if id(run) in readings], name)
    own = [readings[id(run)] for run in calm or disturbed]
    made = pool_ratios(own) if own[0].unit == "1" else pool(own)
    left_out = len(disturbed) if calm else 0
    return replace(made, left_out=left_out, disturbed=bool(disturbed) and not calm)


def pool(readings: Sequence[Reading]) -> Pooled:
    """Return readings of one quantity, each a run's, as one; at least one, all in one unit."""
    bounds = _bounds(readings[0].measure)
    parts = parts_without_rows([reading.value for reading in readings], [None] * len(readings))
    if len(readings) == 1:
        return _pooled(readings, (readings[0].low, readings[0].high), True, None)
    interval = mean_interval(parts, None, bounds)
    return _pooled(readings, (interval.low, interval.high), False, _plain(parts, interval))


def pool_ratios(readings: Sequence[Reading]) -> Pooled:
    """Return ratios, each a run's and above 0, as one: their geometric mean, by their logs."""
    if len(readings) == 1:
        return pool(readings)
    logs = [math.log(reading.value) for reading in readings]
    parts = parts_without_rows(logs, [None] * len(logs))
    interval = mean_interval(parts)
    ends = tuple(None if end is None else math.exp(min(end, LARGEST_LOG))
                 for end in (interval.low, interval.high))  # fmt: skip
    made = _pooled(readings, (ends[0], ends[1]), False, None)
    return replace(made, value=math.exp(parts.mean))


def _pooled(
    readings: Sequence[Reading],
    ends: tuple[float | None, float | None],
    of_this_run: bool,
    parts: dict[str, float | None] | None,
) -> Pooled:
    values, first = [float(reading.value) for reading in readings], readings[0]
    how = How(worst([reading.how.tag for reading in readings]), first.how.text)
    return Pooled(
        math.fsum(values) / len(values), first.unit, how, first.measure, min(values), max(values),
        len(values), *ends, of_this_run, parts,
    )  # fmt: skip


def _bounds(measure: Measure) -> tuple[float, float]:
    low, high = measure.bounds
    return -math.inf if low is None else low, math.inf if high is None else high


def _plain(parts: Parts, interval: Interval) -> dict[str, float | None] | None:
    if not parts.told:
        return None
    return {
        "k": parts.seeds, "N": parts.rows, "V_row": parts.row, "E0": parts.expected,
        "T": parts.training, "df": interval.freedom if math.isfinite(interval.freedom) else None,
        "lent": interval.lent,
    }  # fmt: skip
