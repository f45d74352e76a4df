"""The comparison as grids of text, which every format prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwlit.paths import without_folders
from hwlit.study.comparison import FURTHER, VARIANTS, Comparison, Row
from hwlit.study.latency import OVER_BASE, UNMERGED_OVER_BASE
from hwlit.study.methods import label_of_axes
from hwlit.study.pairing import Verdict
from hwlit.study.pooling import Pooled
from hwlit.study.show import in_unit

TRAINING = {
    "fit/wall_time": "train loop",
    "time_to_baseline": "to baseline's quality",
    "fit/step_time": "per step",
    "fit/sample_time": "per sample",
}
RESOURCES = {
    "params/trainable": "trainable",
    "params/total": "of",
    "fit/peak_memory": "peak memory",
    "fit/energy": "energy",
    "adapter/file_size": "adapter file",
}
FURTHER_SHOWN = 6  # what a wide terminal can hold


@dataclass(frozen=True)
class Cell:
    """A text, and the number by which a reader may sort."""

    text: str
    number: float | None = None


@dataclass
class Grid:
    """A table with its heading and what has to be known to read it.

    Args:
        title: Heading.
        columns: Headings; the first column is text, the others are numbers or words.
        rows: One list of cells each.
        notes: Sentences below it.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def main_grids(comparison: Comparison) -> list[Grid]:
    """Return quality, training, resources and latency; nothing where no run finished."""
    if not comparison.rows:
        return []
    grids = [_quality(comparison), *_further(comparison)]
    grids += [_costs(comparison, title, names) for title, names in
              (("training", TRAINING), ("resources", RESOURCES))]  # fmt: skip
    return [*grids, *_latency(comparison)]


def inside(path: Path) -> str:
    """Return a file of a run as people are told of it, without the folders above."""
    return f"{path.parent.name}/{path.name}"


def problem_grids(comparison: Comparison) -> list[Grid]:
    """Return what is not comparable, fell back, failed or could not be read, as far as it is."""
    told = [
        ("not like the baseline", ["method", "what differs"],
         [[row.label, "; ".join(row.flags)] for row in comparison.rows if row.flags]),
        ("to be kept in mind", ["method", "what"],
         [[row.label, "; ".join(row.caveats)] for row in comparison.rows if row.caveats]),
        ("no row", ["run", "status", "reason"],
         [[label_of_axes(run, comparison.failed) if len(comparison.failed) > 1 else run.name,
           run.status, run.reason or ""] for run in comparison.failed]),
        ("left out", ["file", "reason"],
         [[inside(path), without_folders(reason)] for path, reason in comparison.left_out]),
    ]  # fmt: skip
    grids = [
        Grid(title, columns, [[Cell(text) for text in row] for row in rows])
        for title, columns, rows in told
        if rows
    ]
    return grids


def metric_name(comparison: Comparison) -> str:
    """Return the metric without the phase."""
    return comparison.metric.removeprefix("test/")


def quantity(pooled: Pooled | None) -> str:
    """Return a value in people's units, with half its range over seeds in percent."""
    if pooled is None:
        return ""
    text = in_unit(pooled.value, pooled.unit)
    if pooled.most > pooled.least and pooled.value:
        text += f" ±{50 * (pooled.most - pooled.least) / abs(pooled.value):.2g} %"
    return f"{text} {pooled.tag}" if pooled.unit == "J" else text


def _quality(comparison: Comparison) -> Grid:
    name = metric_name(comparison)
    columns = ["method", "runs", name, "95 %", "over seeds", "- baseline", "95 %", "p", "verdict"]
    rows = []
    for row in comparison.rows:
        found = row.readings.get(comparison.metric)
        rows.append(
            [
                Cell(row.label + (" *" if row.flags else "")),
                Cell(str(len(row.method.runs)), len(row.method.runs)),
                Cell("" if found is None else f"{found.value:.4f}", row.value(comparison.metric)),
                Cell("" if found is None else _interval(found.low, found.high)),
                Cell(
                    "" if found is None or found.seeds < 2
                    else f"{found.least:.4f} .. {found.most:.4f}"
                ),
                *_verdict(row, comparison),
            ]
        )  # fmt: skip
    notes = [_how(comparison)]
    if any(row.flags for row in comparison.rows):
        notes.append("* differs from the baseline in more than the method; see below")
    if any(_of_some_seeds(row, comparison.rows[0]) for row in comparison.rows):
        notes.append("methods have other seeds: differences are over the seeds in common")
    return Grid("quality", columns, rows, notes)


def _of_some_seeds(row: Row, baseline: Row) -> bool:
    """Return whether a difference is not that of the two means, for it is of fewer runs."""
    found = None if row.verdict is None else row.verdict.difference
    runs = max(len(row.method.runs), len(baseline.method.runs))
    return found is not None and 0 < found.seeds < runs


def _further(comparison: Comparison) -> list[Grid]:
    """Return the other measures of quality, mean over runs with the 95 % interval."""
    known = [
        name
        for name in FURTHER
        if name != comparison.metric and any(name in row.readings for row in comparison.rows)
    ]
    if not known:
        return []
    notes = ["more in --format csv and json"] if len(known) > FURTHER_SHOWN else []
    del known[FURTHER_SHOWN:]
    rows = [
        [Cell(row.label)] + [Cell(_measure(row, name), row.value(name)) for name in known]
        for row in comparison.rows
    ]
    columns = ["method", *(name.removeprefix("test/") for name in known)]
    return [Grid("further measures", columns, rows, notes)]


def _measure(row: Row, name: str) -> str:
    found = row.readings.get(name)
    if found is None:
        return ""
    ends = "" if found.low is None else f" ({found.low:.3f} .. {found.high:.3f})"
    return f"{found.value:.4f}{ends}"


def _verdict(row: Row, comparison: Comparison) -> list[Cell]:
    if row.verdict is None or row.verdict.difference is None:
        told = "baseline" if row.verdict is None else row.verdict.reason or "missing"
        return [Cell(""), Cell(""), Cell(""), Cell(told)]
    difference = row.verdict.difference
    p = row.verdict.p_adjusted
    return [
        Cell(f"{difference.mean:+.4f}", difference.mean),
        Cell(_interval(difference.low, difference.high, signed=True)),
        Cell("" if p is None else "<0.0001" if p < 1e-4 else f"{p:.4f}", p),
        Cell(word(row.verdict)),
    ]


def word(verdict: Verdict) -> str:
    """Return what the verdict is, for people."""
    if verdict.difference is None:
        return verdict.reason or "cannot tell"
    if verdict.word is None:
        return "cannot tell"
    return verdict.word + (" (not paired)" if verdict.reason else "")


def _how(comparison: Comparison) -> str:
    """Return which tests the verdicts rest on."""
    verdicts = [row.verdict for row in comparison.rows if row.verdict is not None]
    n = sum(verdict.p_adjusted is not None for verdict in verdicts)
    tests = sorted({v.difference.test for v in verdicts if v.difference and v.word})
    reasons = sorted({v.reason for v in verdicts if v.reason})
    less = " (less is better)" if comparison.mode == "min" else ""
    text = f"{comparison.metric}{less} against {comparison.rows[0].label}"
    if n:
        text += (
            f"; test: {', '.join(tests)}; p adjusted for {n} comparison{'s' if n > 1 else ''} "
            "(Holm), intervals not; tie: p of 0.05 or more"
        )
    return "; ".join([text, *reasons])


def _interval(low: float | None, high: float | None, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"{low:+.4f} .. {high:+.4f}" if signed else f"{low:.4f} .. {high:.4f}"


def _costs(comparison: Comparison, title: str, names: dict[str, str]) -> Grid:
    known = [
        n for n in names if any(n in row.readings or n in row.notes for row in comparison.rows)
    ]
    rows = []
    for row in comparison.rows:
        cells = [Cell(row.label)]
        for name in known:
            text = quantity(row.readings.get(name))
            if row is not comparison.rows[0] and name not in ("time_to_baseline", "params/total"):
                text += times(comparison.ratio(row, name))
            if name == "time_to_baseline" and row.notes.get(name, "").startswith("reached"):
                text = f"{text} {row.notes[name]}".strip()
            cells.append(Cell(text, row.value(name)))
        rows.append(cells)
    return Grid(title, ["method", *(names[n] for n in known)], rows, _cost_notes(comparison, known))


def _cost_notes(comparison: Comparison, names: Sequence[str]) -> list[str]:
    notes = []
    if any(len(row.method.runs) > 1 for row in comparison.rows):
        notes.append("± half the range over seeds; x: times the baseline's")
    for name in names:
        own = {row.notes[name]: None for row in comparison.rows if name in row.notes}
        told = [note for note in own if not note.startswith("reached")]
        label = {**TRAINING, **RESOURCES}[name]
        notes += [f"{label}: {note}" for note in told[:3]]
    return notes


def times(ratio: float | None) -> str:
    """Return a ratio as text, with a space before it; nothing for none, or of nothing."""
    return "" if not ratio else f" {ratio:.2f}x" if ratio >= 0.1 else f" {ratio:.2g}x"


def _latency(comparison: Comparison) -> list[Grid]:
    known = [
        (variant, percentile)
        for variant in VARIANTS
        for percentile in ("p50", "p95")
        if any(comparison.latency(variant, percentile) in row.readings for row in comparison.rows)
    ]
    if not known:
        return []
    rows = [
        [Cell(row.label)]
        + [
            Cell(quantity(row.readings.get(name)), row.value(name))
            for name in (
                *(comparison.latency(*pair) for pair in known),
                UNMERGED_OVER_BASE,
                OVER_BASE,
            )
        ]
        for row in comparison.rows
    ]
    title = f"latency, {comparison.latency_input}"
    columns = ["method", *(" ".join(pair) for pair in known), "unmerged / base", "merged / base"]
    note = (
        "/ base: medians timed in turns, over the base in full precision, where it is the "
        "baseline's; the rest also tells how busy the machine was"
    )
    return [Grid(title, columns, rows, [note])]
