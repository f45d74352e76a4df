"""Many runs as one table: a row for each method, each beside the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.study.caveats import caveats
from hwlit.study.collect import Collection, Run
from hwlit.study.curves import best_validation, time_to_quality
from hwlit.study.flags import flags
from hwlit.study.latency import OVER_BASE, UNMERGED_OVER_BASE, over_base
from hwlit.study.methods import Method, methods
from hwlit.study.pairing import Judge, Verdict
from hwlit.study.pooling import Pooled, pooled
from hwlit.study.quality import metric_of, mode_in, mode_of
from hwlit.study.show import MAIN

COSTS = (
    "params/trainable", "params/total", "fit/wall_time", "time_to_baseline", "fit/step_time",
    "fit/sample_time", "fit/peak_memory", "fit/energy", "adapter/file_size", "run/wall_time",
)  # fmt: skip
FURTHER = tuple(name for name in MAIN if name.startswith(("test/", "base/")))
VARIANTS = ("reference", "base", "unmerged", "merged")
OF_TRAINING = ("wall_time", "step_time", "sample_time", "peak_memory", "energy")


@dataclass
class Row:
    """One method with everything that is known of it.

    Args:
        method: Label and runs.
        readings: Quantities over its seeds, by name.
        verdict: Against the baseline; None for the baseline itself.
        flags: What makes it unequal to the baseline, in words.
        notes: Why a quantity is missing, by name.
    """

    method: Method
    readings: dict[str, Pooled] = field(default_factory=dict)
    verdict: Verdict | None = None
    flags: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name for people."""
        return self.method.label

    @property
    def quantised(self) -> bool:
        """Whether it learned nothing itself, and rounds what another run learned."""
        return "source" in self.method.runs[0].record

    @property
    def caveats(self) -> list[str]:
        """What is to be kept in mind of it, in words."""
        return caveats(self.method)

    def value(self, name: str) -> float | None:
        """Return the mean of a quantity; None where it is missing."""
        found = self.readings.get(name)
        return None if found is None else found.value


@dataclass
class Comparison:
    """All methods beside the baseline.

    Args:
        name: What is compared.
        metric: What quality is.
        mode: "max" or "min".
        rows: In the order in which they were found, baseline first.
        failed: Runs without a row.
        left_out: Files that cannot be read, with the reason.
        waiting: How many cells have not ended.
        latency_input: What latencies are of, such as `batch_1`.
        judge: Compares by the test rows.
        choose: The validation metric by which a method is chosen; None where none is.
    """

    name: str
    metric: str
    mode: str
    rows: list[Row]
    failed: list[Run]
    left_out: list[tuple[Path, str]]
    waiting: int
    latency_input: str | None
    judge: Judge
    choose: str | None = None

    @property
    def baseline(self) -> Row | None:
        """What the others are compared with; None where nothing finished."""
        return self.rows[0] if self.rows else None

    def ratio(self, row: Row, name: str) -> float | None:
        """Return a quantity over the baseline's.

        None where either has it of some of its runs only or not at all, the baseline's is 0, or
        the data is other.
        """
        mine, theirs = row.readings.get(name), self.rows[0].readings.get(name)
        if mine is None or theirs is None or not theirs.value:
            return None
        if row.method.source != self.rows[0].method.source:
            return None
        whole = mine.seeds == len(row.method.runs) and theirs.seeds == len(self.rows[0].method.runs)
        return mine.value / theirs.value if whole else None

    def best(self) -> Row | None:
        """Return the row with the best quality on the baseline's data."""
        known = self.ranked()
        sign = 1 if self.mode == "max" else -1
        return max(known, key=lambda row: sign * (row.value(self.metric) or 0.0), default=None)

    def chosen(self) -> list[Row]:
        """Return the row that validation chooses, then those that are equal there; or nothing."""
        if self.choose is None:
            return []
        mode = mode_of(self.choose)
        known = [(best_validation(row.method, self.choose, mode), row) for row in self.ranked()]
        values = [(value, row) for value, row in known if value is not None]
        best = (max if mode == "max" else min)((value for value, _ in values), default=None)
        return [row for value, row in values if value == best]

    def ranked(self) -> list[Row]:
        """Return the rows that have a quality, and on the baseline's data."""
        return [row for row in self.rivals() if row.value(self.metric) is not None]

    def rivals(self) -> list[Row]:
        """Return the rows on the baseline's data."""
        return [r for r in self.rows if r.method.source == self.rows[0].method.source]

    def latency(self, variant: str, percentile: str) -> str:
        """Return the name of the reading of a latency in the table."""
        return f"latency/{variant}/{self.latency_input}/{percentile}"

    def latency_cost(self) -> tuple[str, str]:
        """Return the reading by which latencies are ranked, and what it is in words.

        Where several rows have the same base network, it is what each run timed in turns; else
        seconds.
        """
        seconds, of_what = self.latency("merged", "p50"), f"{self.latency_input}, merged, median"
        if sum(OVER_BASE in row.readings for row in self.rows) < 2:
            return seconds, f"latency ({of_what})"
        return OVER_BASE, f"latency over the unquantised base's ({of_what})"


def compared(found: Collection, metric: str | None, baseline: str | None) -> Comparison:
    """Set the runs side by side.

    Args:
        found: What was collected.
        metric: What quality is, with or without `test/`; None takes the study's, or the usual one.
        baseline: Label, adapter or cell of the baseline; None takes the study's, else `Untuned`,
            else `Full`, else the first.

    Raises:
        UsageError: No run has the metric, or no method is called so.
    """
    all_methods = methods(found.runs)
    done = [run for method in all_methods for run in method.runs]
    name = metric_of(done, metric, found.metric)
    said = found.mode if name == found.metric else None
    mode = said if said in ("max", "min") else mode_in(done, name)
    rows = [Row(method) for method in all_methods]
    if rows:
        first = _baseline(rows, baseline, found.baseline)
        rows.sort(key=lambda row: row is not first)
    failed = [run for run in found.runs if run.status != "ok"]
    comparison = Comparison(
        found.name, name, mode, rows, failed, found.left_out, found.waiting,
        _latency_input(all_methods), Judge(name, mode, found.left_out), found.choose,
    )  # fmt: skip
    _fill(comparison)
    return comparison


def _fill(comparison: Comparison) -> None:
    if not comparison.rows:
        return
    first, *others = comparison.rows
    names = list(dict.fromkeys([comparison.metric, *FURTHER, *COSTS]))
    for variant in VARIANTS:
        names += [comparison.latency(variant, percentile) for percentile in ("p50", "p95")]
    for row in comparison.rows:
        known = {name: pooled(row.method, name) for name in names}
        row.flags = flags(row.method, first.method)
        timed = row.method, comparison.latency_input, row.flags
        known[OVER_BASE] = over_base("merged", *timed)
        known[UNMERGED_OVER_BASE] = over_base("unmerged", *timed)
        row.readings = {name: reading for name, reading in known.items() if reading is not None}
        for name in names:
            if name not in row.readings and (reason := _absent(row.method, name)):
                row.notes[name] = reason
        time, note = time_to_quality(row.method, first.method, comparison.metric, comparison.mode)
        if time is not None:
            row.readings["time_to_baseline"] = time
        if note is not None:
            row.notes["time_to_baseline"] = note
    _inherit(comparison.rows, comparison.metric)
    verdicts = comparison.judge.judge([row.method for row in others], first.method)
    for row, verdict in zip(others, verdicts, strict=True):
        row.verdict = verdict


def _inherit(rows: Sequence[Row], metric: str) -> None:
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
            if name != metric and (reading := pooled(sources, name)) is not None:
                row.readings[name] = reading
                row.notes[name] = "quantised after training: that of the run that was quantised"


def _source_of(run: Run, trained: Sequence[Run]) -> Run | None:
    """Return the run that another one rounds: of its study, by its path, or the only one."""
    source = run.record.get("source", {})
    asked = source.get("config_sha256")
    alike = [other for other in trained if asked and other.record.get("config_sha256") == asked]
    ways = (
        [other for other in alike if run.study is not None and other.study == run.study],
        [o for o in alike if o.folder is not None and str(o.folder.resolve()) == source.get("run")],
        alike,
    )
    return next((found[0] for found in ways if len(found) == 1), None)


def _absent(method: Method, name: str) -> str | None:
    """Return why the first run has no such reading, as its record says."""
    reasons: Mapping[str, Any] = method.runs[0].record["absent"]
    stems = [name, *(name.rsplit("/", cut)[0] for cut in (1, 2) if name.count("/") >= cut + 1)]
    return next((str(reasons[stem]) for stem in stems if stem in reasons), None)


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
        names = method.runs[0].record["readings"]
        for key in {
            n.split("/")[2] for n in names if n.startswith("latency/") and n.count("/") == 3
        }:
            counts[key] = counts.get(key, 0) + 1
    return min(counts, key=lambda key: (-counts[key], key), default=None)
