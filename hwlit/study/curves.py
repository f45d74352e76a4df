"""Validation curves against the time that training took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from hwlit.bounded_files import LARGEST_METRICS, read_rows
from hwlit.study.collect import Run
from hwlit.study.methods import Method
from hwlit.study.pooling import Pooled, pool


def validation_curve(run: Run, name: str) -> list[tuple[int, float | None, float]]:
    """Return optimizer step, seconds of training and value at each validation.

    The seconds are the sum of the steps' times up to there, evaluation excluded; None where the run
    was resumed, for its record has the times of the rest only.

    Args:
        run: A finished run.
        name: Such as `val/accuracy`.
    """
    steps, values = _columns(run, name)
    if not all(isinstance(x, int | float) for x in (*steps, *values)):
        return []
    try:
        spent = list(accumulate(run.record.get("step_times", ()), initial=0.0))
    except TypeError:  # not numbers
        return []
    last = run.record.get("comparability", {}).get("steps")
    whole = isinstance(last, int) and last > 0 and not run.record.get("resumed_from")
    batches = (len(spent) - 1) / last if whole else 0.0  # per optimizer step
    return [
        (int(step), spent[min(len(spent) - 1, round(step * batches))] if batches else None, value)
        for step, value in zip(steps, values, strict=True)
    ]


def _columns(run: Run, name: str) -> tuple[list[Any], list[Any]]:
    """Return the steps of the validations and their values; of metrics.csv where no curve is."""
    columns: Any = run.record.get("curves", {}).get("validation", {})
    if isinstance(columns, Mapping) and columns:
        steps, values = columns.get("step", []), columns.get(name, [])
        whole = isinstance(steps, list) and isinstance(values, list) and len(steps) == len(values)
        return (steps, values) if whole else ([], [])
    try:
        # A row is logged after its step, which counts from 0.
        told = [
            (int(row["step"]) + 1, float(row[name]))
            for row in read_rows(Path(run.folder or "", "metrics.csv"), LARGEST_METRICS)
            if row[name] and math.isfinite(float(row[name]))
        ]
    except (OSError, ValueError, KeyError):
        return [], []
    return [step for step, _ in told], [value for _, value in told]


def time_to_quality(
    method: Method, baseline: Method, metric: str, mode: str
) -> tuple[Pooled | None, str | None]:
    """Return the seconds of training until a method was as good as the baseline ended.

    The mark is the baseline's best validation (its test value where it was never validated, as
    `Untuned`), of the same seeds where there is one.

    Returns:
        The time over those seeds that got there, and a note where not all did.
    """
    if not metric.startswith("test/"):
        return None, None
    if method.source != baseline.source:
        return None, "other data than the baseline's"
    name, sign = metric.replace("test/", "val/"), 1 if mode == "max" else -1
    marks = {
        run.seeds: mark for run in baseline.runs if (mark := _mark(run, metric, mode)) is not None
    }
    if not marks:
        return None, f"the baseline has no {name}"
    usual = sum(marks.values()) / len(marks)
    reached, unknown = [], 0
    for run in method.runs:
        curve, mark = validation_curve(run, name), marks.get(run.seeds, usual)
        there = [time for _, time, value in curve if sign * (value - mark) >= 0]
        if there and there[0] is not None:
            reached.append(there[0])
        unknown += not curve or bool(there and there[0] is None)
    if unknown == len(method.runs):
        return None, f"no {name} over time"
    n = len(method.runs)
    note = None if len(reached) == n else f"reached by {len(reached)} of {n}"
    how = f"measured: steps up to the first {name} as good as the baseline's, evaluation excluded"
    readings = [{"value": time, "unit": "s", "method": how} for time in reached]
    return pool(readings) if readings else None, note


def best_validation(method: Method, name: str, mode: str) -> float | None:
    """Return the best value of a validation metric, the mean over runs; None where one has none."""
    pick = max if mode == "max" else min
    curves = [[value for *_, value in validation_curve(run, name)] for run in method.runs]
    return sum(map(pick, curves)) / len(curves) if all(curves) else None


def _mark(run: Run, metric: str, mode: str) -> float | None:
    _, values = _columns(run, metric.replace("test/", "val/"))
    if values and all(isinstance(value, int | float) for value in values):
        return float(max(values) if mode == "max" else min(values))
    reading = run.record["readings"].get(metric)
    return None if reading is None else float(reading["value"])
