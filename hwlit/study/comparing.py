"""Sets runs side by side: pools seeds, finds the baseline, and asks for the verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwlit.errors import UsageError
from hwlit.records import FACT, Direction, Measure
from hwlit.statistics.combining import FEW_OF_A_CLASS
from hwlit.study.collect import Collection, Run
from hwlit.study.comparison import Comparison, Row
from hwlit.study.curves import time_to_quality
from hwlit.study.evidence import Evidence
from hwlit.study.flags import flags
from hwlit.study.latency import OVER_BASE, UNMERGED_OVER_BASE, over_base
from hwlit.study.methods import Method, methods
from hwlit.study.pooling import pool_calm, pooled
from hwlit.study.quality import direction_of, measure_of, metric_of
from hwlit.study.show import MAIN
from hwlit.study.verdicts import Verdict, Verdicts

COSTS = (
    "params/trainable", "params/total", "fit/wall_time", "time_to_baseline", "fit/step_time",
    "fit/sample_time", "fit/peak_memory", "fit/energy", "adapter/file_size", "run/wall_time",
)  # fmt: skip
VARIANTS = ("reference", "base", "unmerged", "merged")
OF_TRAINING = ("wall_time", "step_time", "sample_time", "peak_memory", "energy")


def compared(
    found: Collection, metric: str | None, baseline: str | None, margin: float | None = None
) -> Comparison:
    """Set the runs side by side.

    Args:
        found: What was collected.
        metric: What quality is, with or without `test/`; None takes the study's, or the primary
            one of the baseline's task.
        baseline: Label, adapter or cell of the baseline; None takes the study's, else `Untuned`,
            else `Full`, else the first.
        margin: How great a difference is still as good as none, in the metric's unit; None takes
            the metric's own.

    Raises:
        UsageError: No run has the metric, no method is called so, or the margin is none.
    """
    all_methods = methods(found.runs)
    rows = [Row(method) for method in all_methods]
    if rows:
        first = _baseline(rows, baseline, found.baseline)
        rows.sort(key=lambda row: row is not first)
        rows.sort(key=lambda row: row.method.task != first.method.task)
        for row in rows:
            row.rival = row.method.world == first.method.world
    runs = [run for row in rows for run in row.method.runs]
    name = metric_of(runs, metric, found.metric)
    measure = measure_of([run.record for run in runs], name) or FACT
    said = found.mode if name == found.metric and measure.direction is None else None
    mode: Direction = direction_of([run.record for run in runs], name)
    if said in ("max", "min"):
        mode = "max" if said == "max" else "min"
    failed = [run for run in found.runs if run.status != "ok"]
    comparison = Comparison(
        found.name, name, mode, margin_of(margin, name, measure), rows, failed, found.left_out,
        found.waiting, _latency_input(all_methods), Evidence(all_methods, found.left_out),
        found.choose,
    )  # fmt: skip
    _fill(comparison)
    return comparison


def margin_of(asked: float | None, name: str, measure: Measure) -> float | None:
    """Return within how much two values of a metric are as good as equal.

    Raises:
        UsageError: What was asked for is below 0, or so wide that everything were equal.
    """
    if asked is None:
        return measure.margin
    low, high = measure.bounds
    width = math.inf if low is None or high is None else high - low
    if not 0 <= asked < width:
        usual = "" if measure.margin is None else f"; its own is {measure.margin:g}"
        end = "" if math.isinf(width) else f" and below {width:g}, for it is {low:g} to {high:g}"
        raise UsageError(
            f"--margin {asked:g} is no margin of {name}; give a number from 0{end}{usual}"
        )
    return asked


def _fill(comparison: Comparison) -> None:
    if not comparison.rows:
        return
    first = comparison.rows[0]
    names = _names(comparison)
    for row in comparison.rows:
        _fill_row(comparison, row, first, names)
    _inherit(comparison.rows, comparison.metric, comparison.evidence)
    ranked = comparison.ranked()
    verdicts = comparison.verdicts = Verdicts(
        [row.method for row in ranked], comparison.metric, comparison.mode, comparison.margin,
        comparison.evidence,
    )  # fmt: skip
    best = comparison.best()
    for row in comparison.rows:
        if not row.rival:
            row.verdict = Verdict(None, None, _elsewhere(row, first))
            continue
        if row is not first:
            row.verdict = _between(row, first, comparison, verdicts)
        if best is not None and row is not best:
            row.against_best = _between(row, best, comparison, verdicts)
        row.may_be_best = verdicts.may_be_best(row.method)


def _between(row: Row, other: Row, comparison: Comparison, verdicts: Verdicts) -> Verdict:
    known = [one.readings.get(comparison.metric) for one in (row, other)]
    if any(reading is not None and reading.disturbed for reading in known):
        return Verdict(None, None, "not ranked: disturbed")
    return verdicts.between(row.method, other.method)


def _elsewhere(row: Row, first: Row) -> str:
    return "another task" if row.method.task != first.method.task else "other data"


def _names(comparison: Comparison) -> list[str]:
    """Return the readings that a row has, as far as they were measured."""
    names = list(dict.fromkeys([comparison.metric, *further(comparison.rows), *COSTS]))
    for variant in VARIANTS:
        names += [comparison.latency(variant, percentile) for percentile in ("p50", "p95")]
    return names


def _fill_row(comparison: Comparison, row: Row, first: Row, names: Sequence[str]) -> None:
    known = {name: pooled(row.method, name, comparison.evidence) for name in names}
    row.flags = flags(row.method, first.method)
    timed = row.method, comparison.latency_input, row.flags
    for name, network in ((OVER_BASE, "merged"), (UNMERGED_OVER_BASE, "unmerged")):
        ratios = over_base(network, *timed)
        comparison.derive(name, ratios)
        known[name] = pool_calm(row.method, name, ratios) if ratios else None
    row.readings = {name: reading for name, reading in known.items() if reading is not None}
    for name in names:
        if name not in row.readings and (reason := _absent(row.method, name)):
            row.notes[name] = reason
        scored = comparison.evidence.scored(row.method, name)
        if scored and scored.rarest is not None and scored.rarest < FEW_OF_A_CLASS:
            row.notes[name] = f"a class has {scored.rarest} test rows, too few for a sure interval"
    times, note = time_to_quality(row.method, first.method, comparison.metric, comparison.mode)
    if times:
        row.readings["time_to_baseline"] = pool_calm(row.method, "time_to_baseline", times)
        comparison.derive("time_to_baseline", times)
    if note is not None:
        row.notes["time_to_baseline"] = note


def further(rows: Sequence[Row]) -> list[str]:
    """Return every measure of quality that a run has, in the order of `show` as far as it goes."""
    found = {
        name: None
        for row in rows
        for name, reading in row.method.runs[0].record.readings.items()
        if reading.measure.role == "quality"
    }
    usual = [name for name in MAIN if name in found]
    return [*usual, *(name for name in found if name not in usual)]


def _inherit(rows: Sequence[Row], metric: str, evidence: Evidence) -> None:
    """Give rows that round what other runs learned the costs of these runs."""
    trained = [run for row in rows if not row.quantised for run in row.method.runs]
    for row in rows:
        if not row.quantised:
            continue
        found = [_source_of(run, trained) for run in row.method.runs]
        sources = Method("", [run for run in found if run is not None])
        if len(sources.runs) < len(found):
            continue
        for name in (f"fit/{quantity}" for quantity in OF_TRAINING):
            if name != metric and (reading := pooled(sources, name, evidence)) is not None:
                row.readings[name] = reading
                row.notes[name] = "quantised after training: that of the run that was quantised"


def _source_of(run: Run, trained: Sequence[Run]) -> Run | None:
    """Return the run that another one rounds: of its study, by its path, or the only one."""
    source = run.record.source
    if source is None:  # other runs of this method round something
        return None
    asked = source.config_sha256
    alike = [other for other in trained if asked and other.record.config_sha256 == asked]
    ways = (
        [other for other in alike if run.study is not None and other.study == run.study],
        [o for o in alike if o.folder is not None and str(o.folder.resolve()) == source.run],
        alike,
    )
    return next((found[0] for found in ways if len(found) == 1), None)


def _absent(method: Method, name: str) -> str | None:
    """Return why the first run has no such reading, as its record says."""
    reasons = method.runs[0].record.absent
    stems = [name, *(name.rsplit("/", cut)[0] for cut in (1, 2) if name.count("/") >= cut + 1)]
    return next((reasons[stem] for stem in stems if stem in reasons), None)


def _baseline(rows: Sequence[Row], asked: str | None, usual: str | None) -> Row:
    if asked is not None:
        if (found := _called(rows, asked)) is None:
            names = ", ".join(repr(row.label) for row in rows[:20])
            raise UsageError(f"no method is called {asked!r}; there are {names}")
        return found
    for name in (usual, "Untuned", "Full"):
        if name is not None and (found := _called(rows, name)) is not None:
            return found
    return rows[0]


def _called(rows: Sequence[Row], name: str) -> Row | None:
    """Return the first row of this name: a label, a run, an adapter or an axis's value."""
    plain = name.lower().rstrip("/")
    ways = (
        lambda row: [row.label],
        lambda row: [part for run in row.method.runs for part in (run.name, str(run.folder))],
        lambda row: [row.method.adapter, *row.method.runs[0].values.values()],
    )
    for names in ways:
        found = [row for row in rows if plain in (own.lower() for own in names(row))]
        if found:
            return found[0]
    return None


def _latency_input(found: Sequence[Method]) -> str | None:
    """Return the input whose latencies most methods have, the first of these."""
    counts: dict[str, int] = {}
    for method in found:
        names = method.runs[0].record.readings
        for key in {
            n.split("/")[2] for n in names if n.startswith("latency/") and n.count("/") == 3
        }:
            counts[key] = counts.get(key, 0) + 1
    return min(counts, key=lambda key: (-counts[key], key), default=None)
