"""A comparison as a table for the screen, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from hwlit.paths import without_folders
from hwlit.plain_text import in_markdown, printable, spreadsheet
from hwlit.study.classes import class_grids, confusion, per_class
from hwlit.study.collect import Run
from hwlit.study.comparison import Comparison, Row
from hwlit.study.grids import inside, main_grids, problem_grids
from hwlit.study.table import Grid
from hwlit.study.verdicts import Verdict

WORDS = ("method", "run", "status", "reason", "file", "what differs", "class", "true", "predicted",
         "verdict", "what", "against the baseline", "against the best")  # fmt: skip
WIDTH = 100  # columns of a terminal


def grids(comparison: Comparison) -> list[Grid]:
    """Return every table of a comparison, in order."""
    return [*main_grids(comparison), *class_grids(comparison), *problem_grids(comparison)]


def tables(comparison: Comparison) -> str:
    """Return every table as text in columns, for people at a terminal."""
    parts = []
    for grid in grids(comparison):
        parts += ["", printable(grid.title), *_aligned(grid)]
        for note in grid.notes:
            parts += textwrap.wrap(printable(note), WIDTH, subsequent_indent="  ")
    if comparison.waiting:
        parts += ["", _waiting(comparison)]
    return "\n".join(parts) + "\n"


def _waiting(comparison: Comparison) -> str:
    n = comparison.waiting
    return f"{n} cell{'s' if n > 1 else ''} of the study without a row: not run, or not here"


def _aligned(grid: Grid) -> list[str]:
    """Return the lines of a grid; what is too wide comes in parts, each with the first column."""
    lines = [[printable(text) for text in grid.columns]]
    lines += [[printable(cell.text) for cell in row] for row in grid.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = [name in WORDS for name in grid.columns]
    told: list[str] = []
    for part in _parts(widths):
        told += [""] if told else []
        told += [
            "  ".join(
                line[i].ljust(widths[i]) if left[i] else line[i].rjust(widths[i]) for i in part
            ).rstrip()
            for line in lines
        ]
    return told


def _parts(widths: Sequence[int]) -> list[list[int]]:
    """Return which columns stand side by side, so that few parts are wider than a terminal."""
    parts: list[list[int]] = [[0]]
    for place in range(1, len(widths)):
        if sum(widths[i] + 2 for i in parts[-1]) + widths[place] > WIDTH and parts[-1][1:]:
            parts.append([0])
        parts[-1].append(place)
    return parts


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
        if reading.seeds > 1 and reading.parts is not None:
            line |= {f"{name}/{part}": value for part, value in reading.parts.items()}
        if (ratio := comparison.ratio(row, name)) is not None:
            ratio_of = {"": ratio.value, "/low": ratio.alone.low, "/high": ratio.alone.high}
            ratio_of |= {"/p": ratio.alone.p, "/p_adjusted": ratio.p}
            line |= {f"{name}/over_least{n}": v for n, v in ratio_of.items() if v is not None}
        if reading.left_out or reading.disturbed:
            line[f"{name}/disturbed"] = "every run" if reading.disturbed else reading.left_out
    line |= {f"{name}/note": note for name, note in row.notes.items()}
    line |= _verdict_line("", row.verdict) | _verdict_line("best/", row.against_best)
    line |= {"margin": comparison.margin, "may_be_best": row.may_be_best}
    return line | {"flags": "; ".join(row.flags), "caveats": "; ".join(row.caveats)}


def _verdict_line(stem: str, verdict: Verdict | None) -> dict[str, Any]:
    """Return a verdict as columns; on the best one they begin with `best/`."""
    if verdict is None:
        return {}
    told = verdict.to_dict()
    more = told.pop("more", None) or {}
    named = {"word": "verdict", "reason": "verdict/reason"}
    line = {
        stem
        + named.get(
            name, name if name in ("difference", "p", "test") else f"difference/{name}"
        ): value
        for name, value in told.items()
    }
    for what in ("seeds", "rows"):
        low, high = more.get(what) or ("", "")
        line |= {f"{stem}more_{what}/low": low, f"{stem}more_{what}/high": high}
    return line


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
            "task": row.method.task,
            "data_seeds": [run.data_seed for run in row.method.runs],
            "settings": {n: without_folders(v) for n, v in row.method.settings.items()},
            "readings": {name: reading.to_dict() for name, reading in row.readings.items()},
            "over_least": {
                name: ratio.to_dict()
                for name in row.readings
                if (ratio := comparison.ratio(row, name)) is not None
            },
            "verdict": None if row.verdict is None else row.verdict.to_dict(),
            "against_best": None if row.against_best is None else row.against_best.to_dict(),
            "may_be_best": row.may_be_best,
            "flags": row.flags,
            "caveats": row.caveats,
            "notes": row.notes,
            "per_class": per_class(row.method),
            "confusion_matrix": confusion(row.method),
        }
        for row in comparison.rows
    ]
    facts = {
        "schema": 2,
        "name": comparison.name,
        "metric": comparison.metric,
        "mode": comparison.mode,
        "margin": comparison.margin,
        "best": None if (best := comparison.best()) is None else best.label,
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
        "pairs": _pairs(comparison),
        "choose": comparison.choose,
        "chosen": [row.label for row in comparison.chosen()],
    }
    return json.dumps(facts, indent=1, allow_nan=False) + "\n"


def _pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the verdict on every pair of the methods that are ranked."""
    return [] if comparison.verdicts is None else comparison.verdicts.all_pairs()
