"""What a comparison says, in sentences that its numbers bear."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.study.comparison import Comparison, Row
from hwlit.study.grids import metric_name, quantity, times
from hwlit.study.latency import OVER_BASE, RESOLUTION, UNMERGED_OVER_BASE
from hwlit.study.methods import label_of_axes
from hwlit.study.pooling import Pooled

NAMED = 6  # methods in one sentence


def sentences(comparison: Comparison) -> list[str]:
    """Return the summary: which method wins on which measure, ties, estimates and gaps."""
    told = [*_chosen(comparison), *_quality(comparison), *_costs(comparison)]
    estimated = [r for r in comparison.rows if _tag(r, "fit/energy") == "estimated"]
    if estimated:
        who = "every method" if len(estimated) == len(_with(comparison, "fit/energy")) else None
        told.append(f"Energy is only estimated, not measured, for {who or names(estimated)}.")
    if unlike := [row for row in comparison.rows if row.flags]:
        told.append(
            f"Not like for like: {names(unlike)} {_verb(unlike, 'differs', 'differ')} from the "
            "baseline in more than the method, so read their rows with care (the table below says "
            "in what)."
        )
    told += _caveats(comparison)
    elsewhere = [r for r in comparison.rows if r.method.source != comparison.rows[0].method.source]
    if elsewhere:
        told.append(f"Not ranked with the others, for their data is other: {names(elsewhere)}.")
    told += without_row(comparison)
    if comparison.left_out:
        n = len(comparison.left_out)
        told.append(f"{n} file{'s' if n > 1 else ''} could not be read and {_are(n)} left out.")
    if comparison.waiting:
        told.append(
            f"{comparison.waiting} of the study's cells {_are(comparison.waiting)} without a row: "
            "not run, or not on this machine."
        )
    return told


def _caveats(comparison: Comparison) -> list[str]:
    found: dict[str, list[Row]] = {}
    for row in comparison.rows:
        for caveat in row.caveats:
            found.setdefault(caveat, []).append(row)
    n = len(comparison.rows)
    return [
        f"Keep in mind of {names(rows) if len(rows) < n else 'every method'}: {caveat}."
        for caveat, rows in found.items()
    ]


def without_row(comparison: Comparison) -> list[str]:
    """Return which runs left no row, and how they ended; nothing where all left one."""
    failed = comparison.failed
    which = [f"{label_of_axes(run, failed)} ({run.status})" for run in failed]
    return [f"No row from {_list(which)}."] if which else []


def names(rows: Sequence[Row]) -> str:
    """Return the labels of rows as a list in words."""
    return _list([row.label for row in rows])


def ties(comparison: Comparison, best: Row, others: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows that the test cannot tell from the best, and those without a test."""
    verdicts = comparison.judge.judge([row.method for row in others], best.method)
    told = list(zip(others, verdicts, strict=True))
    tied = [row for row, verdict in told if verdict.word in ("tie", "better")]
    return tied, [row for row, verdict in told if verdict.word is None]


def _chosen(comparison: Comparison) -> list[str]:
    rows = comparison.chosen()
    if not rows:
        return []
    row, *equal = rows
    value, metric = row.value(comparison.metric), metric_name(comparison)
    beside = f" ({names(equal)} {_verb(equal, 'is', 'are')} equal there)" if equal else ""
    return [
        f"Chosen by {comparison.choose}, before a look at the test rows: {row.label}{beside}, "
        f"whose {metric} on them is {value:.3f}. What else is best on the test rows is seen in "
        "hindsight."
    ]


def _quality(comparison: Comparison) -> list[str]:
    best, metric = comparison.best(), metric_name(comparison)
    if best is None:
        return [f"No run that finished has {metric}."] if comparison.rows else ["No run finished."]
    reading = best.readings[comparison.metric]
    ends = "" if reading.low is None else f" (95 %: {reading.low:.3f} to {reading.high:.3f})"
    order = "lowest" if comparison.mode == "min" else "highest"
    text = f"{best.label} has the {order} {metric}: {reading.value:.3f}{ends}."
    others = [row for row in comparison.ranked() if row is not best]
    if not others:
        return [text]
    tied, unknown = ties(comparison, best, others)
    if tied:
        text += f" That is a tie with {names(tied)}: the test rows cannot tell them apart."
    if unknown:
        text += f" Whether it beats {names(unknown)} cannot be told: there is no interval."
    beaten = [row for row in others if row not in (*tied, *unknown)]
    if beaten:
        text += f" It is better than {names(beaten)}."
    return [text, *_against_baseline(comparison)]


def _against_baseline(comparison: Comparison) -> list[str]:
    told = {"better": [], "worse": [], "tie": []}  # type: dict[str, list[Row]]
    for row in comparison.rows[1:]:
        if row.verdict is not None and row.verdict.word is not None:
            told[row.verdict.word].append(row)
    parts = [
        f"{names(rows)} {_verb(rows, *verbs)}"
        for rows, verbs in (
            (told["better"], ("is better", "are better")),
            (told["worse"], ("is worse", "are worse")),
            (told["tie"], ("is a tie", "are ties")),
        )
        if rows
    ]
    if not parts:
        return []
    return [f"Against the baseline {comparison.rows[0].label}: {'; '.join(parts)}."]


def _costs(comparison: Comparison) -> list[str]:
    latency, of_what = comparison.latency_cost()
    measures = [
        ("fit/wall_time", "The shortest training loop"),
        ("time_to_baseline", "The shortest training to the baseline's quality"),
        ("fit/step_time", "The quickest training step"),
        ("fit/peak_memory", "The smallest peak memory in training"),
        ("fit/energy", "The least energy in training"),
        ("adapter/file_size", "The smallest file of what was learned"),
        (latency, f"The lowest {of_what}"),
    ]
    told = [text for name, what in measures if (text := _winner(comparison, name, what))]
    return [*told, *_slower(comparison)]


def _slower(comparison: Comparison) -> list[str]:
    """Return which rows take longer than the network in full precision that they began as."""
    told, single = [], False
    for what, name in (("merged", OVER_BASE), ("unmerged", UNMERGED_OVER_BASE)):
        rows = [
            row
            for row in _with(comparison, name)
            if row.readings[name].value > 1 + RESOLUTION and row.readings[name].least > 1
        ]
        if rows:
            ratios = [f"{row.label} {times(row.value(name)).strip()}" for row in rows]
            told.append(f"{what} {_list(ratios)}")
            single |= any(row.readings[name].seeds == 1 for row in rows)
    if not told:
        return []
    text = f"Slower than the unquantised base ({comparison.latency_input}): {'; '.join(told)}"
    return [text + (" (where of one run, its spread is not known)" if single else "") + "."]


def _winner(comparison: Comparison, name: str, what: str) -> str:
    """Return a sentence on who has least of something; "" where fewer than two have it."""
    rows = [row for row in _with(comparison, name) if name.startswith("latency/") or _learns(row)]
    if len(rows) < 2:
        return ""
    first, second, *_ = sorted(rows, key=lambda row: row.value(name) or 0.0)
    mine, theirs = first.readings[name], second.readings[name]
    near = 1 + RESOLUTION if name == OVER_BASE else 1
    alike = [
        row
        for row in rows
        if row is not first
        and (_overlap(mine, row.readings[name]) or row.readings[name].value < near * mine.value)
    ]
    told = times(mine.value).strip() if name == OVER_BASE else quantity(mine)
    text = f"{what}: {first.label}, {told}"
    if alike:
        why = ", or all but equal" if name == OVER_BASE else " or are equal"
        text += f"; a tie with {names(alike)}, whose runs overlap{why}"
    elif mine.value and (ratio := theirs.value / mine.value) < 1.005:
        text += f"; {second.label} is less than half a percent above"
    elif mine.value:
        text += f"; next {second.label}, {ratio:.3g} times that"
    if mine.seeds == 1 and not alike:
        text += " (one run: its spread is not known)"
    seconds = comparison.latency("merged", "p50")
    apart = [row for row in _with(comparison, seconds) if name == OVER_BASE and row not in rows]
    if apart:
        text += f"; not ranked: {names(apart)}, timed with another base, or none"
    if unlike := [row for row in (first, second) if row.flags]:
        text += f"; {names(unlike)} {_verb(unlike, 'is', 'are')} not like the baseline"
    return text + "."


def _overlap(one: Pooled, other: Pooled) -> bool:
    return one.least <= other.most and other.least <= one.most


def _with(comparison: Comparison, name: str) -> list[Row]:
    return [row for row in comparison.rows if name in row.readings]


def _learns(row: Row) -> bool:
    return bool(row.value("params/trainable"))


def _tag(row: Row, name: str) -> str | None:
    return row.readings[name].tag if name in row.readings else None


def _verb(rows: Sequence[Row], one: str, many: str) -> str:
    return one if len(rows) == 1 else many


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _list(words: Sequence[str]) -> str:
    shown = list(words[:NAMED])
    if len(words) > NAMED:
        return f"{', '.join(shown)} and {len(words) - NAMED} more"
    return " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"
