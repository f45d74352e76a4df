"""`hwlit advise`: which method to take, given what one can spend. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.errors import UsageError
from hwlit.plain_text import printable, say
from hwlit.study.compare import compare_parser, comparison_of, name_left_out
from hwlit.study.comparison import Comparison, Row
from hwlit.study.grids import metric_name
from hwlit.study.limits import KINDS, Limit, limit
from hwlit.study.plain_words import caveats_of, names, ties, without_row
from hwlit.study.show import in_unit


def main(arguments: list[str]) -> int:
    """Print the advice that the command line asks for."""
    options = compare_parser("advise", "Say which method to take, given what you can spend.")
    for option, example in zip(KINDS, ("8GiB", "30min", "50Wh"), strict=True):
        _, what, _ = KINDS[option]
        options.add_argument(option, metavar=example, help=f"most {what}, in every run of a method")
    asked = options.parse_args(arguments)
    given = {option: vars(asked)[option[2:].replace("-", "_")] for option in KINDS}
    limits = [limit(option, text) for option, text in given.items() if text is not None]
    if not limits:
        raise UsageError(f"no limit is given; give at least one of {', '.join(KINDS)}")
    comparison = comparison_of(asked)
    for line in advice(comparison, limits):
        say(line)
    name_left_out(comparison)
    return 0


def advice(comparison: Comparison, limits: Sequence[Limit]) -> list[str]:
    """Return the advice, a sentence a line.

    A method fits where every run of it was measured or sampled to keep every limit, or where nobody
    trained it; what was only estimated is said to be so and never counts as fitting.
    """
    rows = comparison.ranked()
    if not rows:
        return [f"no run that finished has {metric_name(comparison)}"]
    asked = ", ".join(f"{one.what} up to {one.text}" for one in limits)
    fitting = [row for row in rows if _fits(row, limits)]
    lines = [f"{asked}: {len(fitting)} of {len(rows)} methods fit"]
    lines += [f"  {_told(row, comparison, limits)}" for row in _ordered(fitting, comparison)]
    if fitting:
        lines += _best(fitting, comparison)
    else:
        lines += _nearest(rows, limits)
    lines += _prices(rows, fitting, comparison, limits)
    for row in rows:
        if row not in fitting and (why := _not_measured(row, limits)):
            lines.append(f"not counted: {row.label}: {why}")
    elsewhere = [row for row in comparison.rows if row not in comparison.rivals()]
    if elsewhere:
        lines.append(f"not counted: {names(elsewhere)}: other data than the baseline's")
    for row in fitting:
        if row.flags:
            lines.append(f"not like the baseline: {row.label}: {'; '.join(row.flags)}")
    lines += [f"keep in mind of {names(of)}: {what}" for what, of in caveats_of(rows).items()]
    return [printable(line) for line in lines + without_row(comparison)]


def _fits(row: Row, limits: Sequence[Limit]) -> bool:
    return all(_share(row, one) <= 1 and _is_measured(row, one) for one in limits)


def _share(row: Row, one: Limit) -> float:
    """Return how much of a limit the costliest run takes; what nobody trained takes nothing."""
    reading = row.readings.get(one.reading)
    if reading is None:
        untrained = row.value("params/trainable") == 0 and not row.quantised
        return 0.0 if untrained else float("inf")
    if reading.seeds < len(row.method.runs):
        return float("inf")
    return reading.most / one.most


def _is_measured(row: Row, one: Limit) -> bool:
    reading = row.readings.get(one.reading)
    return reading is None or reading.tag in ("measured", "sampled", "counted")


def _not_measured(row: Row, limits: Sequence[Limit]) -> str:
    """Return why a row that keeps the limits, as far as one knows, does not count."""
    if any(1 < _share(row, one) < float("inf") for one in limits):
        return ""
    told = []
    for one in limits:
        reading = row.readings.get(one.reading)
        if _share(row, one) == float("inf"):
            told.append(f"its {one.what} is not known{'' if reading is None else ' of every run'}")
        elif reading is not None and not _is_measured(row, one):
            told.append(f"its {one.what} would fit, {in_unit(reading.most, reading.unit)}, but is "
                        f"only {reading.tag}")  # fmt: skip
    return "; ".join(told)


def _ordered(rows: Sequence[Row], comparison: Comparison) -> list[Row]:
    sign = 1 if comparison.mode == "min" else -1
    return sorted(rows, key=lambda row: sign * (row.value(comparison.metric) or 0.0))


def _told(row: Row, comparison: Comparison, limits: Sequence[Limit]) -> str:
    parts = [f"{metric_name(comparison)} {row.value(comparison.metric):.4f}"]
    for one in limits:
        if (reading := row.readings.get(one.reading)) is not None:
            spent = in_unit(reading.most, reading.unit)
            parts.append(f"{one.what} {spent} ({reading.tag})")
        else:
            parts.append(f"{one.what}: nothing was trained")
    return f"{row.label}: {', '.join(parts)}"


def _best(fitting: Sequence[Row], comparison: Comparison) -> list[str]:
    first, *others = _ordered(fitting, comparison)
    found = ties(comparison, first, others)
    text = f"take: {first.label}, the best {metric_name(comparison)} of those that fit"
    if tied := found["tie"]:
        text += f"; a tie with {names(tied)}"
    if better := found["better"]:
        text += f"; over the seeds in common better: {names(better)}"
    if unknown := found[None]:
        text += f"; not to be told from {names(unknown)}, for there is no interval"
    return [text]


def _nearest(rows: Sequence[Row], limits: Sequence[Limit]) -> list[str]:
    """Return the row that goes least beyond its worst limit, and by how much."""
    known = [row for row in rows if all(_share(row, one) < float("inf") for one in limits)]
    if not known:
        return ["nothing fits, and no method's costs are all known"]
    nearest = min(known, key=lambda row: max(_share(row, one) for one in limits))
    over = [
        f"{one.what} {in_unit(reading.most, reading.unit)}, {_share(nearest, one):.3g} times the "
        f"limit{'' if _is_measured(nearest, one) else f' ({reading.tag})'}"
        for one in limits
        if (reading := nearest.readings.get(one.reading)) is not None
    ]
    return [f"nothing fits; nearest: {nearest.label}: {'; '.join(over)}"]


def _prices(
    rows: Sequence[Row], fitting: Sequence[Row], comparison: Comparison, limits: Sequence[Limit]
) -> list[str]:
    """Return what could be had if one limit were dropped and the others kept."""
    lines = []
    best = next(iter(_ordered(fitting, comparison)), None)
    for one in limits:
        rest = [other for other in limits if other is not one]
        free = [row for row in rows if _fits(row, rest)]
        first = next(iter(_ordered(free, comparison)), None)
        if first is None:
            lines.append(f"{one.option} {one.text}: without it nothing would fit either")
        elif best is None:
            lines.append(f"{one.option} {one.text}: without it {first.label} would fit")
        elif first is best:
            lines.append(f"{one.option} {one.text} costs nothing: without it the best is the same")
        else:
            lines.append(_price(one, first, best, comparison))
    return lines


def _price(one: Limit, first: Row, best: Row, comparison: Comparison) -> str:
    (verdict,) = comparison.judge.judge([first.method], best.method)
    found = verdict.difference
    gain = "" if found is None else f", {metric_name(comparison)} {found.mean:+.4f}"
    said = next(word for word, rows in ties(comparison, best, [first]).items() if rows)
    word = {"tie": ": a tie", None: ": whether that is more cannot be told"}.get(said, "")
    spent = first.readings.get(one.reading)
    price = "" if spent is None else f" at {in_unit(spent.most, spent.unit)} ({spent.tag})"
    return f"{one.option} {one.text}: without it {first.label}{price}{gain}{word}"
