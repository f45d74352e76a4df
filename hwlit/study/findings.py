"""What a finished study was made to find out, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from hwlit.records import Record
from hwlit.study.methods import is_seed
from hwlit.study.outcome import read_if_there
from hwlit.study.plan import Study
from hwlit.study.quality import direction_of
from hwlit.study.store import Store


def chosen(store: Store, names: Sequence[str], monitor: str) -> str | None:
    """Return what the validation rows choose among the cells, in one sentence.

    Cells that differ in the seed alone count together, by their mean. Of equal ones the first is
    chosen, and the others are named.

    Args:
        store: The study's directory.
        names: Its cells.
        monitor: The validation metric, as the record of the best checkpoint names it.
    """
    scores: dict[tuple[tuple[str, str], ...], list[float]] = {}
    records = {name: read_if_there(store.run(name)) for name in names}
    for name, record in records.items():
        row, score = store.row(name), _score(record, monitor)
        if row is not None and row.status == "ok" and score is not None:
            group = tuple((axis, label) for axis, label in row.values.items() if not is_seed(axis))
            scores.setdefault(group, []).append(score)
    if not scores:
        return None
    best_of = max if direction_of(list(records.values()), monitor) == "max" else min
    value = best_of(map(fmean, scores.values()))
    first, *equal = (
        " ".join(label for _, label in one) for one in scores if fmean(scores[one]) == value
    )
    told = f"chosen on the validation rows, {monitor} {value:.4f}: {first}"
    return f"{told}; equal there: {', '.join(equal)}" if equal else told


def _score(record: Record, monitor: str) -> float | None:
    """Return the score of a run's best checkpoint by this metric; None where it has none."""
    best = record.best_checkpoint
    return None if best is None or best.monitor != monitor else best.score


def largest(store: Store, study: Study) -> list[str]:
    """Return what a search has found, one sentence for each cell that it was made for.

    Args:
        store: The study's directory.
        study: The study; a row that was made for another limit says nothing here.
    """
    search = study.search
    assert search is not None
    axis = search.key.rpartition(".")[2]
    rows = [row for name in store.known() if (row := store.row(name)) is not None]
    told = []
    for cell in study.cells:
        statuses = {
            value: row.status
            for row in rows
            if (value := int(said) if (said := row.values.get(axis, "")).isdecimal() else 0)
            and row.config_hash == cell.tried(search.key, value, study.budget.memory).config_hash()
        }
        fits = [value for value, status in statuses.items() if status == "ok"]
        other = next((v for v, status in statuses.items() if status not in ("ok", "oom")), None)
        found = f"largest {axis} that fits is {max(fits)}" if fits else f"no {axis} fits"
        if other is not None:
            found = f"not known, for {axis} {other} ended as {statuses[other]}"
        if statuses:
            told.append(f"{cell.name}: {found}")
    return told
