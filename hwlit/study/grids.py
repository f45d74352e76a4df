"""The comparison as grids of text, which every format prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hwlit.paths import without_folders
from hwlit.study.comparing import VARIANTS, further
from hwlit.study.comparison import Comparison, Row
from hwlit.study.energy import CPU_ONLY, common_name
from hwlit.study.latency import OVER_BASE, UNMERGED_OVER_BASE
from hwlit.study.methods import label_of_axes
from hwlit.study.table import Cell, Grid, interval, quantity, times
from hwlit.study.verdict_grids import further_grids, quality_grids

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
NO_RATIO = ("time_to_baseline", "params/total")


def main_grids(comparison: Comparison) -> list[Grid]:
    """Return quality, training, resources and latency; nothing where no run finished."""
    if not comparison.rows:
        return []
    grids = quality_grids(comparison) + further_grids(comparison, further(comparison.rows))
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
        ("disturbed", ["run", "what"], _disturbed(comparison)),
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


def energy_label(rows: Sequence[Row]) -> str:
    """Return what energy is called, by how the runs that have it got it."""
    return common_name(run.record.readings for row in rows for run in row.method.runs)


def _disturbed(comparison: Comparison) -> list[list[str]]:
    """Return the runs that something else disturbed, and what became of their times."""
    rows = []
    for row in comparison.rows:
        for run in row.method.runs:
            marks = run.record.disturbed
            if marks:
                what = "; ".join(
                    f"{one.phase}: {one.cause} {one.value:.2g}, limit {one.limit:.2g}"
                    for one in marks
                )
                rows.append([f"{row.label}, {run.record.seeds}", what])
    return rows


def _costs(comparison: Comparison, title: str, names: Mapping[str, str]) -> Grid:
    known = [
        n for n in names if any(n in row.readings or n in row.notes for row in comparison.rows)
    ]
    named = {name: names[name] for name in known}
    if "fit/energy" in named:
        named["fit/energy"] = energy_label(comparison.rows)
    tagged = named.get("fit/energy") != CPU_ONLY
    rows = []
    for row in comparison.rows:
        cells = [Cell(row.label)]
        for name in known:
            text = quantity(row.readings.get(name), tagged)
            ratio = None if name in NO_RATIO else comparison.ratio(row, name)
            text += times(ratio.value if ratio else None)
            if name == "time_to_baseline" and row.notes.get(name, "").startswith("reached"):
                text = f"{text} {row.notes[name]}".strip()
            cells.append(Cell(text, row.value(name)))
        rows.append(cells)
    notes = list(_cost_notes(comparison, known))
    return Grid(title, ["method", *named.values()], rows, notes)


def _cost_notes(comparison: Comparison, names: Sequence[str]) -> Iterator[str]:
    rows = comparison.rows
    if any(len(row.method.runs) > 1 for row in rows):
        yield "± half the range over seeds"
    if any(comparison.ratio(row, name) for row in rows for name in names if name not in NO_RATIO):
        yield "x: times the least of the methods that train"
    if apart := [row.label for row in rows if any(_has_no_seed(comparison, row, n) for n in names)]:
        yield f"no ratio for {', '.join(apart)}: no seed in common with the least"
    found = [row.readings[name] for row in rows for name in names if name in row.readings]
    if any(one.disturbed for one in found):
        yield "!: something else used the machine, so it is not ranked; see below"
    if any(one.left_out for one in found):
        yield "runs that were disturbed are left out; see below"
    for name in names:
        own = {row.notes[name]: None for row in rows if name in row.notes}
        told = [note for note in own if not note.startswith("reached")]
        label = {**TRAINING, **RESOURCES}[name]
        yield from (f"{label}: {note}" for note in told[:3])


def _has_no_seed(comparison: Comparison, row: Row, name: str) -> bool:
    """Return whether a row has no ratio for want of a common seed."""
    least = comparison.cheapest(name)
    if name in NO_RATIO or least is None or not (row.rival and row.trained):
        return False
    seeds = {run.seeds for run in least.method.runs}
    return row.has_whole(name) and not any(run.seeds in seeds for run in row.method.runs)


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
            Cell(_latency_cell(row, name), row.value(name))
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
        "/ base: mean log ratio of medians, turn by turn, over the base in full precision, where "
        "it is the baseline's; the rest also tells how busy the machine was"
    )
    return [Grid(title, columns, rows, [note])]


def _latency_cell(row: Row, name: str) -> str:
    found = row.readings.get(name)
    if found is None or name not in (OVER_BASE, UNMERGED_OVER_BASE):
        return quantity(found)
    ends = interval(found.low, found.high)
    return f"{found.value:.2f}x" + (f" ({ends})" if ends else "")
