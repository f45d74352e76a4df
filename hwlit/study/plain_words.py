"""What a comparison says, in sentences that its numbers bear."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.statistics.power import More
from hwlit.study.comparison import Comparison, Row
from hwlit.study.cost_words import cost_sentences
from hwlit.study.listing import (
    caveats_of,
    disturbed_runs,
    names,
    not_ranked,
    verb,
    without_row,
)
from hwlit.study.table import span
from hwlit.study.verdict_grids import metric_name, reach
from hwlit.study.verdicts import Verdict

WORDS = ("better", "worse", "equal", "not told apart", None)


def sentences(comparison: Comparison) -> list[str]:
    """Return the summary: which method wins on which measure, what is equal, and gaps."""
    told = [*_chosen(comparison), *_quality(comparison)]
    if comparison.rows:
        told += [*cost_sentences(comparison), *disturbed_runs(comparison)]
    if unlike := [row for row in comparison.rows if row.flags]:
        told.append(
            f"Not like for like: {names(unlike)} {verb(unlike, 'differs', 'differ')} from the "
            "baseline in more than the method, so read their rows with care (the table below says "
            "in what)."
        )
    for what, rows in caveats_of(comparison.rows).items():
        who = names(rows) if len(rows) < len(comparison.rows) else "every method"
        told.append(f"Keep in mind of {who}: {what.rstrip('.')}.")
    told += not_ranked(comparison) if comparison.rows else []
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


def by_word(
    pairs: Sequence[tuple[Row, Verdict | None]],
) -> dict[str | None, list[tuple[Row, Verdict]]]:
    """Return rows with their verdicts by its word; None where there is no word."""
    found: dict[str | None, list[tuple[Row, Verdict]]] = {word: [] for word in WORDS}
    for row, verdict in pairs:
        if verdict is not None:
            found[verdict.word].append((row, verdict))
    return found


def not_told(pairs: Sequence[tuple[Row, Verdict]]) -> str:
    """Return what is not told apart, what could have been seen, and what more would tell."""
    verdicts = [verdict for _, verdict in pairs]
    seen = [verdict.smallest for verdict in verdicts if verdict.smallest is not None]
    text = f"Not told apart from {names([row for row, _ in pairs])}"
    if not seen:
        return f"{text}."
    least, most = f"{min(seen):.2g}", f"{max(seen):.2g}"
    size = least if least == most else f"{least} to {most}"
    runs = "test rows" if verdicts[0].of_these_runs else "test rows and seeds"
    text += f": these {runs} would show a difference of {size} four times in five"
    more = [verdict.more.seeds for verdict in verdicts if verdict.more and verdict.more.seeds]
    rows = [verdict.more.rows for verdict in verdicts if verdict.more and verdict.more.rows]
    ways = [
        f"about {span((min(low for low, _ in ends), max(high for _, high in ends)))} more {what}"
        for ends, what in ((more, "seeds"), (rows, "test rows"))
        if ends
    ]
    if verdicts[0].of_these_runs:
        return f"{text}; runs with more seeds are needed to speak of the methods."
    if not ways:
        return f"{text}; neither more seeds nor more test rows alone would tell."
    helped = [row for row, verdict in pairs if verdict.more and _would_tell(verdict.more)]
    whom = "" if len(helped) == len(pairs) else f" {names(helped)}, and nothing alone the others"
    return f"{text}; {' or '.join(ways)} would tell{whom}."


def _would_tell(more: More) -> bool:
    return more.seeds is not None or more.rows is not None


def _chosen(comparison: Comparison) -> list[str]:
    rows = comparison.chosen()
    if not rows:
        return []
    row, *equal = rows
    value, metric = row.value(comparison.metric), metric_name(comparison)
    beside = f" ({names(equal)} {verb(equal, 'is', 'are')} equal there)" if equal else ""
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
    runs = "of this run" if reading.seeds == 1 else f"the mean of {reading.seeds} seeds"
    if reading.seeds == 2:
        runs = "the mean of two seeds, so the interval is wide"
    text = f"{best.label} has the {order} {metric}: {reading.value:.3f}{ends}, {runs}."
    others = [row for row in comparison.ranked() if row is not best]
    if not others:
        return [text]
    return [
        f"{text} {_against_best(comparison, best, others)}".rstrip(),
        *_against_baseline(comparison),
        *filter(None, [reach(comparison)]),
    ]


def _against_best(comparison: Comparison, best: Row, others: Sequence[Row]) -> str:
    found = by_word([(row, row.against_best) for row in others])
    rows = {word: [row for row, _ in pairs] for word, pairs in found.items()}
    runs = _on_these_runs([verdict for _, verdict in found["worse"]])
    told = []
    if rows["worse"] and len(rows["worse"]) == len(others):
        told.append(f"It is the best, and better than {names(rows['worse'])}{runs}.")
    elif rows["worse"]:
        told.append(f"It is better than {names(rows['worse'])}{runs}.")
    if rows["equal"]:
        told.append(f"Equal to it within {comparison.margin:g}: {names(rows['equal'])}.")
    if found["not told apart"]:
        told.append(not_told(found["not told apart"]))
    if rows[None]:
        told.append(f"Whether it is better than {names(rows[None])} cannot be told: no interval.")
    if rest := [row for row in others if row.is_top]:
        beside = [row for row in (best, *rest) if row.is_top]
        told.append(f"May be the best: {names(beside)}.")
    return " ".join(told)


def _against_baseline(comparison: Comparison) -> list[str]:
    found = by_word([(row, row.verdict) for row in comparison.rows[1:]])
    parts = []
    for word in WORDS[:4]:
        if not (pairs := found[word]):
            continue
        rows = [row for row, _ in pairs]
        told = f"{verb(rows, 'is', 'are')} {word}"
        if word == "equal":
            told += f" within {comparison.margin:g}"
        parts.append(f"{names(rows)} {told}{_on_these_runs([v for _, v in pairs])}")
    if not parts:
        return []
    return [f"Against the baseline {comparison.rows[0].label}: {'; '.join(parts)}."]


def _on_these_runs(verdicts: Sequence[Verdict]) -> str:
    return " on these runs" if any(verdict.of_these_runs for verdict in verdicts) else ""


def _are(n: int) -> str:
    return "is" if n == 1 else "are"
