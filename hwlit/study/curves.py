"""Validation curves against the time that training took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from hwlit.bounded_files import LARGEST_METRICS, read_rows
from hwlit.records import COST, Reading, measured
from hwlit.study.collect import Run
from hwlit.study.methods import Method


def validation_curve(run: Run, name: str) -> list[tuple[int, float | None, float]]:
    """Return optimizer step, seconds of training and value at each validation.

    The seconds are the sum of the steps' times up to there, evaluation excluded; None where the run
    was resumed, for its record has the times of the rest only.

    Args:
        run: A finished run.
        name: Such as `val/accuracy`.
    """
    steps, values = _columns(run, name)
    spent = list(accumulate(run.record.step_times, initial=0.0))
    last = run.record.comparability.get("steps")
    batches = 0.0  # per optimizer step
    if isinstance(last, int) and last > 0 and run.record.resumed_from is None:
        batches = (len(spent) - 1) / last
    done = (min(max(round(step * batches), 0), len(spent) - 1) for step in steps)
    times = [spent[batch] if batches else None for batch in done]
    return list(zip(map(int, steps), times, values, strict=True))


def _columns(run: Run, name: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return the steps of the validations and their values; of metrics.csv where no curve is."""
    curve = run.record.exhibit("validation")
    if curve is not None and curve.columns:
        steps, values = curve.columns.get("step", []), curve.columns.get(name, [])
        return (steps, values) if len(steps) == len(values) else ([], [])
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
) -> tuple[dict[int, Reading], str | None]:
    """Return the seconds of training until a method was as good as the baseline ended.

    The mark is the baseline's best validation (its test value where it was never validated, as
    `Untuned`), of the same seeds where there is one.

    Returns:
        The time of each run that got there, by the identity of the run, and a note where not all
        did.
    """
    if not metric.startswith("test/"):
        return {}, None
    if method.world != baseline.world:
        return {}, "other data than the baseline's"
    name, sign = metric.replace("test/", "val/"), 1 if mode == "max" else -1
    marks = {
        run.seeds: mark for run in baseline.runs if (mark := _mark(run, metric, mode)) is not None
    }
    if not marks:
        return {}, f"the baseline has no {name}"
    usual = sum(marks.values()) / len(marks)
    how = f"steps up to the first {name} as good as the baseline's, evaluation excluded"
    reached: dict[int, Reading] = {}
    unknown = 0
    for run in method.runs:
        curve, mark = validation_curve(run, name), marks.get(run.seeds, usual)
        there = [time for _, time, value in curve if sign * (value - mark) >= 0]
        if there and there[0] is not None:
            reached[id(run)] = Reading(there[0], "s", measured(how), measure=COST)
        unknown += not curve or bool(there and there[0] is None)
    if unknown == len(method.runs):
        return {}, f"no {name} over time"
    n = len(method.runs)
    return reached, None if len(reached) == n else f"reached by {len(reached)} of {n}"


def best_validation(method: Method, name: str, mode: str) -> float | None:
    """Return the best value of a validation metric, the mean over runs; None where one has none."""
    pick = max if mode == "max" else min
    curves = [[value for *_, value in validation_curve(run, name)] for run in method.runs]
    return sum(map(pick, curves)) / len(curves) if all(curves) else None


def _mark(run: Run, metric: str, mode: str) -> float | None:
    _, values = _columns(run, metric.replace("test/", "val/"))
    if values:
        return max(values) if mode == "max" else min(values)
    return run.record.value(metric)
