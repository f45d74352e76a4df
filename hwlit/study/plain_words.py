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
    metered = [row for row in comparison.rows if "fit/energy" in row.readings]
    if estimated := [row for row in metered if row.readings["fit/energy"].tag == "estimated"]:
        who = names(estimated) if len(estimated) < len(metered) else "every method that has it"
        told.append(f"Energy is only estimated, not measured, for {who}.")
    if unlike := [row for row in comparison.rows if row.flags]:
        told.append(
            f"Not like for like: {names(unlike)} {_verb(unlike, 'differs', 'differ')} from the "
            "baseline in more than the method, so read their rows with care (the table below says "
            "in what)."
        )
    for what, rows in caveats_of(comparison.rows).items():
        who = names(rows) if len(rows) < len(comparison.rows) else "every method"
        told.append(f"Keep in mind of {who}: {what.rstrip('.')}.")
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
    return [f"No row from {_list(which)}."] if which else []


def names(rows: Sequence[Row]) -> str:
    """Return the labels of rows as a list in words."""
    return _list([row.label for row in rows])


def ties(comparison: Comparison, best: Row, others: Sequence[Row]) -> dict[str | None, list[Row]]:
    """Return what the test says of rows against the best one, by its word.

    Of the baseline it is what the table says, so that no pair of rows has two verdicts.

    Returns:
        Rows by "worse", "tie" and None (there is no test); "better" are those that are so over the
        seeds in common, although their mean over all of their own is not.
    """
    turned = {"better": "worse", "worse": "better"}
    rest = [row for row in others if row.verdict is not None and best.verdict is not None]
    verdicts = comparison.judge.judge([row.method for row in rest], best.method)
    told = [(row, verdict.word) for row, verdict in zip(rest, verdicts, strict=True)]
    for row in others:
        if best.verdict is None and row.verdict is not None:  # the best is the baseline
            told.append((row, row.verdict.word))
        elif row.verdict is None and best.verdict is not None:
            told.append((row, turned.get(str(best.verdict.word), best.verdict.word)))
    found: dict[str | None, list[Row]] = {"worse": [], "tie": [], "better": [], None: []}
    for row, word in told:
        found[word].append(row)
    return found


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
    found = ties(comparison, best, others)
    if tied := found["tie"]:
        text += f" That is a tie with {names(tied)}: the test rows cannot tell them apart."
    if better := found["better"]:
        text += (
            f" Over the seeds in common {names(better)} {_verb(better, 'is', 'are')} better: the "
            "means are of other runs."
        )
    if unknown := found[None]:
        text += f" Whether it beats {names(unknown)} cannot be told: there is no interval."
    if beaten := found["worse"]:
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
    known = [row for row in _with(comparison, name) if name.startswith("latency/") or _learns(row)]
    rows = [row for row in known if row.readings[name].seeds == len(row.method.runs)]
    if len(rows) < 2:
        return ""
    first, *others = sorted(rows, key=lambda row: row.value(name) or 0.0)
    mine = first.readings[name]
    told = times(mine.value).strip() if name == OVER_BASE else quantity(mine)
    text = f"{what}: {first.label}, {told}{_beside(first, others, name)}"
    if some := [row for row in known if row not in rows]:
        text += f"; not ranked: {names(some)}, which {_verb(some, 'has', 'have')} it of some runs"
    seconds = comparison.latency("merged", "p50")
    apart = [row for row in _with(comparison, seconds) if name == OVER_BASE and row not in known]
    if apart:
        text += f"; not ranked: {names(apart)}, timed with another base, or none"
    if unlike := [row for row in (first, others[0]) if row.flags]:
        text += f"; {names(unlike)} {_verb(unlike, 'is', 'are')} not like the baseline"
    return text + "."


def _beside(first: Row, others: Sequence[Row], name: str) -> str:
    """Return how the least of something stands to the others, which come in order."""
    mine, theirs = first.readings[name], others[0].readings[name]
    near = 1 + RESOLUTION if name == OVER_BASE else 1
    alike = [
        row
        for row in others
        if _overlap(mine, row.readings[name]) or row.readings[name].value < near * mine.value
    ]
    if alike:
        why = ", or all but equal" if name == OVER_BASE else " or are equal"
        return f"; a tie with {names(alike)}, whose runs overlap{why}"
    text = " (one run: its spread is not known)" if mine.seeds == 1 else ""
    if not mine.value:
        return text
    if (ratio := theirs.value / mine.value) < 1.01:
        return f"; {others[0].label} is less than one percent above{text}"
    return f"; next {others[0].label}, {ratio:.3g} times that{text}"


def _overlap(one: Pooled, other: Pooled) -> bool:
    return one.least <= other.most and other.least <= one.most


def _with(comparison: Comparison, name: str) -> list[Row]:
    return [row for row in comparison.rivals() if name in row.readings]


def _learns(row: Row) -> bool:
    return bool(row.value("params/trainable"))


def _verb(rows: Sequence[Row], one: str, many: str) -> str:
    return one if len(rows) == 1 else many


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _list(words: Sequence[str]) -> str:
    shown = list(words[:NAMED])
    if len(words) > NAMED:
        return f"{', '.join(shown)} and {len(words) - NAMED} more"
    return " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"
