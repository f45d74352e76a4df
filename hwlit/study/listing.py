"""Names of methods in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.study.comparison import Comparison, Row
from hwlit.study.methods import label_of_axes

NAMED = 6  # methods in one sentence


def names(rows: Sequence[Row]) -> str:
    """Return the labels of rows as a list in words."""
    return listed([row.label for row in rows])


def listed(words: Sequence[str]) -> str:
    """Return words with commas between them, and "and" before the last."""
    shown = list(words[:NAMED])
    if len(words) > NAMED:
        return f"{', '.join(shown)} and {len(words) - NAMED} more"
    return " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def verb(rows: Sequence[object], one: str, many: str) -> str:
    """Return the form of a verb that goes with so many."""
    return one if len(rows) == 1 else many


def caveats_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return whom each caveat concerns."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for caveat in row.caveats:
            found.setdefault(caveat, []).append(row)
    return found


def without_row(comparison: Comparison) -> list[str]:
    """Return which runs left no row, and how they ended; nothing where all left one."""
    failed = comparison.failed
    which = [f"{label_of_axes(run, failed)} ({run.status})" for run in failed]
    return [f"No row from {listed(which)}."] if which else []


def not_ranked(comparison: Comparison) -> list[str]:
    """Return which rows are of another task or other data, so that no figure ranks them."""
    first, told = comparison.rows[0].method, []
    others = [row for row in comparison.rows if row.method.world != first.world]
    tasks = [row for row in others if row.method.task != first.task]
    if tasks:
        told.append(f"Not ranked with the others, for their task is another: {names(tasks)}.")
    if data := [row for row in others if row not in tasks]:
        told.append(f"Not ranked with the others, for their data differ: {names(data)}.")
    return told


def disturbed_runs(comparison: Comparison) -> list[str]:
    """Return which runs had no machine to themselves, and what follows for their times."""
    runs = [
        f"{row.label}, {run.record.seeds} ({listed(list(dict.fromkeys(causes)))})"
        for row in comparison.rows
        for run in row.method.runs
        if (causes := [one.cause for one in run.record.disturbed or ()])
    ]
    if not runs:
        return []
    return [
        f"Something else used the machine while {verb(runs, 'this run', 'these runs')} went on: "
        f"{'; '.join(runs[:NAMED])}{f' and {len(runs) - NAMED} more' if len(runs) > NAMED else ''}."
        " What was disturbed is not ranked."
    ]
