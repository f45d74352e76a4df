"""Quality and the verdicts on it as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwlit.study.comparison import Comparison, Row
from hwlit.study.pooling import Pooled
from hwlit.study.table import Cell, Grid, chance, interval, span
from hwlit.study.verdicts import Verdict

FURTHER_SHOWN = 6  # what a page can hold
MARK, UNLIKE = "*", "†"


def metric_name(comparison: Comparison) -> str:
    """Return the metric without the phase."""
    return comparison.metric.removeprefix("test/")


def word(verdict: Verdict) -> str:
    """Return what a verdict says, for people."""
    if verdict.word is None:
        return verdict.reason or "cannot tell"
    return f"{verdict.word} on these runs" if verdict.of_these_runs else verdict.word


def quality_grids(comparison: Comparison) -> list[Grid]:
    """Return every method's quality, and how it stands to the baseline and to the best."""
    best = comparison.best()
    grids = [_quality(comparison)]
    first, *others = comparison.rows
    if others:
        grids.append(
            _differences(f"against the baseline, {first.label}", comparison,
                         [(row, row.verdict) for row in others])
        )  # fmt: skip
    if best is not None and best is not first:
        against = [(row, row.against_best) for row in comparison.ranked() if row is not best]
        grids.append(_differences(f"against the best, {best.label}", comparison, against))
    return grids


def further_grids(comparison: Comparison, names: Sequence[str]) -> list[Grid]:
    """Return the other measures of quality, mean over runs with the 95 % interval."""
    known = [
        name
        for name in names
        if name != comparison.metric and any(name in row.readings for row in comparison.rows)
    ]
    if not known:
        return []
    notes = ["more in --format csv and json"] if len(known) > FURTHER_SHOWN else []
    del known[FURTHER_SHOWN:]
    notes += [note for name in known for note in _thin(comparison, name)]
    rows = [
        [Cell(row.label)] + [Cell(_measure(row, name), row.value(name)) for name in known]
        for row in comparison.rows
    ]
    columns = ["method", *(name.removeprefix("test/") for name in known)]
    return [Grid("further measures", columns, rows, notes)]


def reach(comparison: Comparison) -> str:
    """Return within how much the table can tell equal; "" where that is not known."""
    if comparison.verdicts is None or (found := comparison.verdicts.reach) is None:
        return ""
    within, more = found
    metric, margin = metric_name(comparison), comparison.margin
    text = f"This table can tell two methods equal within about {within:.2g} of {metric}"
    if not margin:
        return text + "."
    if within <= margin:
        return f"{text}, which is enough for the margin of {margin:g}."
    ways = []
    if more.seeds is not None:
        ways.append(f"about {span(more.seeds)} more seeds")
    if more.rows is not None:
        ways.append(f"about {span(more.rows)} more test rows")
    need = f"equal within {margin:g} needs {' or '.join(ways)}"
    if not ways:
        need = f"equal within {margin:g} needs both more seeds and more test rows"
    elif more.seeds is None:
        need += "; more seeds alone will not tell"
    return f"{text}; {need}."


def _quality(comparison: Comparison) -> Grid:
    best, seeds = comparison.best(), max(len(row.method.runs) for row in comparison.rows)
    columns = ["method", "runs", metric_name(comparison), "95 %"]
    columns += ["over seeds"] if seeds > 1 else []
    rows = []
    for row in comparison.rows:
        found = row.readings.get(comparison.metric)
        marks = (MARK if row.is_top else "") + (UNLIKE if row.flags else "")
        cells = [
            Cell(f"{row.label} {marks}".rstrip()),
            Cell(str(len(row.method.runs)), len(row.method.runs)),
            Cell(_value(found), row.value(comparison.metric)),
            Cell("" if found is None else interval(found.low, found.high)),
        ]
        if seeds > 1:
            several = found is not None and found.seeds > 1
            cells.append(Cell(interval(found.least, found.most) if found and several else ""))
        cells.append(Cell("baseline" if row.verdict is None else word(row.verdict)))
        told = "" if row.against_best is None else word(row.against_best)
        cells.append(Cell("best" if row is best else told))
        rows.append(cells)
    columns += ["against the baseline", "against the best"]
    return Grid("quality", columns, rows, list(_notes(comparison)))


def _notes(comparison: Comparison) -> Iterator[str]:
    less = " (less is better)" if comparison.mode == "min" else ""
    yield f"{comparison.metric}{less}; {MARK} may be the best, or is equal to it"
    runs = {len(row.method.runs) for row in comparison.ranked()}
    several = [row for row in comparison.ranked() if _is_of_this_run(row, comparison.metric)]
    if several:
        yield "of one seed, interval and words speak of this run, and not of its method"
    if 2 in runs:
        yield "two seeds: intervals are wide"
    lent = None if comparison.verdicts is None else comparison.verdicts.comparisons.lent
    if lent is not None:
        yield f"noise of training: the larger of a method's own and that of {lent.methods} methods"
    yield from _thin(comparison, comparison.metric)
    if any(row.flags for row in comparison.rows):
        yield f"{UNLIKE} differs from the baseline in more than the method; see below"
    if told := reach(comparison):
        yield told


def _value(found: Pooled | None) -> str:
    if found is None:
        return ""
    return f"{found.value:.4f}" + (" !" if found.disturbed else "")


def _thin(comparison: Comparison, name: str) -> list[str]:
    """Return what makes the intervals of a measure unsure."""
    told = {row.notes[name]: None for row in comparison.rows
            if name in row.notes and name in row.readings}  # fmt: skip
    return [f"{name.removeprefix('test/')}: {note}" for note in told]


def _is_of_this_run(row: Row, metric: str) -> bool:
    found = row.readings.get(metric)
    return found is not None and found.of_this_run


def _differences(
    title: str, comparison: Comparison, against: Sequence[tuple[Row, Verdict | None]]
) -> Grid:
    columns = ["method", "difference", "95 %", "p", "verdict", "could show", "more seeds",
               "more rows"]  # fmt: skip
    rows = [
        [Cell(row.label), *_verdict(verdict)] for row, verdict in against if verdict is not None
    ]
    verdicts = [verdict for _, verdict in against if verdict is not None]
    untold = [verdict for verdict in verdicts if verdict.word == "not told apart"]
    more = any(verdict.more is not None and not verdict.of_these_runs for verdict in untold)
    shown = len(columns) if more else 6 if untold else 5
    columns, rows = columns[:shown], [row[:shown] for row in rows]
    return Grid(title, columns, rows, _how(comparison, verdicts, bool(untold), more))


def _verdict(verdict: Verdict) -> list[Cell]:
    found = verdict.difference
    if found is None:
        return [*(Cell("") for _ in range(3)), Cell(word(verdict)), *(Cell("") for _ in range(3))]
    cells = [
        Cell(f"{found.mean:+.4f}", found.mean),
        Cell(_ends(verdict)),
        Cell(chance(found.p), found.p),
    ]
    told = word(verdict)
    if verdict.word == "equal" and verdict.within is not None:
        told += f" (within {verdict.within:.2g})"
    more = verdict.more
    if verdict.word != "not told apart":
        return [*cells, Cell(told), *(Cell("") for _ in range(3))]
    shown = "" if verdict.smallest is None else f"{verdict.smallest:.2g}"
    seeds = "" if more is None else span(more.seeds) or "will not tell"
    rows = "" if more is None else span(more.rows) or "will not tell"
    if verdict.of_these_runs:
        seeds = rows = ""
    return [*cells, Cell(told), Cell(shown, verdict.smallest), Cell(seeds), Cell(rows)]


def _ends(verdict: Verdict) -> str:
    low, high = verdict.interval or (None, None)
    return interval(low, high, signed=True)


def _how(
    comparison: Comparison, verdicts: Sequence[Verdict], untold: bool, more: bool
) -> list[str]:
    """Return which tests the verdicts rest on, and what their words mean."""
    tests = sorted({v.difference.test for v in verdicts if v.difference and v.word})
    reasons = sorted({v.reason for v in verdicts if v.reason})
    pairs = 0 if comparison.verdicts is None else comparison.verdicts.pairs
    notes = []
    if tests:
        adjusted = f"; p and 95 % adjusted for all {pairs} pairs (max-t)" if pairs > 1 else ""
        notes.append(f"{'; '.join(tests)}{adjusted}")
    notes += ["; ".join(reasons)] if reasons else []
    if comparison.margin:
        notes.append(f"equal: the whole interval lies within {comparison.margin:g} of 0 (--margin)")
    if untold:
        told = "could show: the smallest difference that would be shown four times in five"
        if more:
            told += (
                "; more seeds, more rows: about how many more of either would tell a difference as "
                "large as this one"
                + (f", at least {comparison.margin:g}" if comparison.margin else "")
            )
        notes.append(told)
    return notes


def _measure(row: Row, name: str) -> str:
    found = row.readings.get(name)
    if found is None:
        return ""
    ends = interval(found.low, found.high)
    return f"{found.value:.4f}" + (f" ({ends})" if ends else "")
