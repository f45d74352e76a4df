"""A comparison as a table for the screen, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from hwlit.paths import without_folders
from hwlit.plain_text import in_markdown, printable, spreadsheet
from hwlit.study.classes import class_grids, confusion, per_class
from hwlit.study.collect import Run
from hwlit.study.comparison import Comparison, Row
from hwlit.study.grids import Grid, inside, main_grids, problem_grids

WORDS = ("method", "run", "status", "reason", "file", "what differs", "class", "true", "predicted",
         "verdict", "what")  # fmt: skip


def grids(comparison: Comparison) -> list[Grid]:
    """Return every table of a comparison, in order."""
    return [*main_grids(comparison), *class_grids(comparison), *problem_grids(comparison)]


def tables(comparison: Comparison) -> str:
    """Return every table as text in columns, for people at a terminal."""
    parts = []
    for grid in grids(comparison):
        parts += ["", printable(grid.title), *_aligned(grid), *map(printable, grid.notes)]
    if comparison.waiting:
        parts += ["", _waiting(comparison)]
    return "\n".join(parts) + "\n"


def _waiting(comparison: Comparison) -> str:
    n = comparison.waiting
    return f"{n} cell{'s' if n > 1 else ''} of the study without a row: not run, or not here"


def _aligned(grid: Grid) -> list[str]:
    lines = [[printable(text) for text in grid.columns]]
    lines += [[printable(cell.text) for cell in row] for row in grid.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = [name in WORDS for name in grid.columns]
    return [
        "  ".join(
            text.ljust(width) if to_left else text.rjust(width)
            for text, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]


def markdown(comparison: Comparison) -> str:
    """Return every table in GitHub's Markdown; no text of a run can be markup in it."""
    parts = []
    for grid in grids(comparison):
        parts.append(f"### {in_markdown(grid.title)}\n\n{markdown_table(grid)}\n")
        parts += [f"{in_markdown(note)}\n" for note in grid.notes]
    if comparison.waiting:
        parts.append(f"{_waiting(comparison)}\n")
    return "\n".join(parts)


def markdown_table(grid: Grid) -> str:
    """Return one grid as a table."""
    lines = [grid.columns, ["---" if n in WORDS else "---:" for n in grid.columns]]
    lines += [[cell.text for cell in row] for row in grid.rows]
    escaped = (
        [in_markdown(text) if i != 1 else text for text in line] for i, line in enumerate(lines)
    )
    return "\n".join("| " + " | ".join(line) + " |" for line in escaped)


def as_csv(comparison: Comparison) -> str:
    """Return one line per method, SI units, then one per run without a row."""
    names = list(dict.fromkeys(name for row in comparison.rows for name in row.readings))
    lines = [_line(row, comparison, names) for row in comparison.rows]
    lines += [{"method": r.name, "status": r.status, "reason": r.reason} for r in comparison.failed]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(spreadsheet, columns))
    writer.writerows([spreadsheet(line.get(name, "")) for name in columns] for line in lines)
    return file.getvalue()


def _line(row: Row, comparison: Comparison, names: Sequence[str]) -> dict[str, Any]:
    line: dict[str, Any] = {"method": row.label, "status": "ok", "runs": len(row.method.runs)}
    for name in names:
        reading = row.readings.get(name)
        if reading is None:
            continue
        line |= {name: reading.value, f"{name}/unit": reading.unit, f"{name}/how": reading.tag}
        ends = {end: vars(reading)[end] for end in ("low", "high")}
        line |= {f"{name}/{end}": value for end, value in ends.items() if value is not None}
        if reading.seeds > 1:
            line |= {f"{name}/least": reading.least, f"{name}/most": reading.most}
        if (ratio := comparison.ratio(row, name)) is not None and name != comparison.metric:
            line[f"{name}/over_baseline"] = ratio
    line |= {f"{name}/note": note for name, note in row.notes.items()}
    if row.verdict is not None and row.verdict.difference is not None:
        told = row.verdict.difference
        line |= {"difference": told.mean, "difference/low": told.low, "difference/high": told.high}
        line |= {"p": told.p, "p_adjusted": row.verdict.p_adjusted, "test": told.test}
        line["verdict"] = row.verdict.word
    return line | {"flags": "; ".join(row.flags), "caveats": "; ".join(row.caveats)}


def _place(run: Run) -> str:
    """Return where a run lies in the directory that was given, or in its study."""
    if run.study is None or run.folder is None:
        return run.name
    return run.folder.relative_to(run.study).as_posix()


def as_json(comparison: Comparison) -> str:
    """Return everything, plain data in SI units."""
    rows = [
        {
            "method": row.label,
            "adapter": row.method.adapter,
            "runs": [_place(run) for run in row.method.runs],
            "seeds": [run.seed for run in row.method.runs],
            "data_seeds": [run.data_seed for run in row.method.runs],
            "settings": {n: without_folders(v) for n, v in row.method.settings.items()},
            "readings": {name: reading.to_dict() for name, reading in row.readings.items()},
            "over_baseline": {
                name: ratio
                for name in row.readings
                if name != comparison.metric and (ratio := comparison.ratio(row, name)) is not None
            },
            "verdict": None if row.verdict is None else row.verdict.to_dict(),
            "flags": row.flags,
            "caveats": row.caveats,
            "notes": row.notes,
            "per_class": per_class(row.method),
            "confusion_matrix": confusion(row.method),
        }
        for row in comparison.rows
    ]
    facts = {
        "schema": 1,
        "name": comparison.name,
        "metric": comparison.metric,
        "mode": comparison.mode,
        "baseline": None if comparison.baseline is None else comparison.baseline.label,
        "rows": rows,
        "failed": [
            {"run": run.name, "status": run.status, "reason": run.reason}
            for run in comparison.failed
        ],
        "left_out": [
            {"file": inside(path), "reason": without_folders(why)}
            for path, why in comparison.left_out
        ],
        "waiting": comparison.waiting,
        "choose": comparison.choose,
        "chosen": [row.label for row in comparison.chosen()],
    }
    return json.dumps(facts, indent=1, allow_nan=False) + "\n"
