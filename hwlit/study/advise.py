"""`hwlit advise`: which method to take, given what one can spend. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.errors import UsageError
from hwlit.plain_text import printable, say
from hwlit.study.compare import compare_parser, comparison_of, name_left_out
from hwlit.study.comparison import Comparison, Row
from hwlit.study.limits import KINDS, Limit, limit
from hwlit.study.listing import caveats_of, disturbed_runs, names, not_ranked, without_row
from hwlit.study.plain_words import by_word, not_told
from hwlit.study.show import in_unit
from hwlit.study.verdict_grids import metric_name


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
    lines += [f"  {_told(row, comparison, limits)}" for row in comparison.ordered(fitting)]
    if fitting:
        lines += _taken(fitting, comparison, limits)
    else:
        lines += _nearest(rows, limits)
    lines += _prices(rows, fitting, comparison, limits)
    for row in rows:
        if row not in fitting and (why := _not_measured(row, limits)):
            lines.append(f"not counted: {row.label}: {why}")
    lines += not_ranked(comparison) + disturbed_runs(comparison)
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
    if not row.has_whole(one.reading):
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


def _told(row: Row, comparison: Comparison, limits: Sequence[Limit]) -> str:
    parts = [f"{metric_name(comparison)} {row.value(comparison.metric):.4f}"]
    for one in limits:
        if (reading := row.readings.get(one.reading)) is not None:
            spent = in_unit(reading.most, reading.unit)
            shared = ", the machine was not its own" if reading.disturbed else ""
            if reading.left_out:
                shared = f", {reading.left_out} disturbed left out"
            parts.append(f"{one.what} {spent} ({reading.tag}{shared})")
        else:
            parts.append(f"{one.what}: nothing was trained")
    return f"{row.label}: {', '.join(parts)}"


def _taken(fitting: Sequence[Row], comparison: Comparison, limits: Sequence[Limit]) -> list[str]:
    """Return what to take: of those that may be the best, near the highest, the cheapest.

    What is cheapest takes the least share of the limit that it comes nearest to.
    """
    first, *others = comparison.ordered(fitting)
    verdicts, metric = comparison.verdicts, metric_name(comparison)
    assert verdicts is not None
    may_be = verdicts.may_be_best_of([row.method for row in fitting])
    near = [row for row in fitting if row is first or (_is_near(row, first, comparison)
            and (row.method in may_be or _is_equal(row, first, comparison)))]  # fmt: skip
    known = [row for row in near if not _is_shared(row, limits)]
    taken = min(known, key=lambda row: (_worst(row, limits), row is not first), default=first)
    text = f"take: {taken.label}"
    if taken is first:
        text += f", the best {metric} of those that fit"
    else:
        text += f", the cheapest of those that may have the best {metric}; {first.label} has "
        text += f"{first.value(comparison.metric):.4f}"
        if (worse := verdicts.worse_by(taken.method, first.method)) is not None:
            text += f", and {taken.label} may be up to {worse:.2g} worse"
    lines = [text]
    if shared := [row for row in near if row not in known]:
        lines.append(
            f"not weighed by cost: {names(shared)}: something else used the machine meanwhile"
        )
    rest = [row for row in (first, *others) if row is not taken]
    return lines + _beside(taken, rest, comparison)


def _beside(taken: Row, rest: Sequence[Row], comparison: Comparison) -> list[str]:
    """Return what the tests say of the one that is taken, held against the others that fit."""
    verdicts = comparison.verdicts
    assert verdicts is not None
    found = by_word([(row, verdicts.between(taken.method, row.method)) for row in rest])
    lines = []
    for word in ("better", "equal", "worse"):
        if pairs := found[word]:
            of_these = any(verdict.of_these_runs for _, verdict in pairs)
            what = {
                "better": "better than", "worse": "worse than",
                "equal": f"equal within {comparison.margin or 0:g} to",
            }[word]  # fmt: skip
            who = names([row for row, _ in pairs])
            lines.append(f"it is {what} {who}{' on these runs' if of_these else ''}")
    if pairs := found["not told apart"]:
        lines.append(not_told(pairs).rstrip("."))
    if pairs := found[None]:
        who = names([row for row, _ in pairs])
        lines.append(f"whether it is better than {who} cannot be told: there is no interval")
    return [f"  {line[:1].lower()}{line[1:]}" for line in lines]


def _is_near(row: Row, first: Row, comparison: Comparison) -> bool:
    """Return whether a row is within the margin of the highest."""
    apart = abs((row.value(comparison.metric) or 0.0) - (first.value(comparison.metric) or 0.0))
    return apart <= (comparison.margin or 0.0)


def _is_equal(row: Row, first: Row, comparison: Comparison) -> bool:
    """Return whether a row is shown to be equal to another one."""
    verdicts = comparison.verdicts
    return verdicts is not None and verdicts.between(row.method, first.method).word == "equal"


def _is_shared(row: Row, limits: Sequence[Limit]) -> bool:
    """Return whether what a row takes was taken while something else used the machine."""
    found = [row.readings[one.reading] for one in limits if one.reading in row.readings]
    return any(reading.disturbed for reading in found)


def _worst(row: Row, limits: Sequence[Limit]) -> float:
    return max(_share(row, one) for one in limits)


def _nearest(rows: Sequence[Row], limits: Sequence[Limit]) -> list[str]:
    """Return the row that goes least beyond its worst limit, and by how much."""
    known = [row for row in rows if all(_share(row, one) < float("inf") for one in limits)]
    if any(all(_share(row, one) <= 1 for one in limits) for row in known):
        return ["nothing is shown to fit: what would fit is only estimated, or was disturbed"]
    if not known:
        return ["nothing fits, and no method's costs are all known"]
    nearest = min(known, key=lambda row: max(_share(row, one) for one in limits))
    over = [
        f"{one.what} {in_unit(reading.most, reading.unit)}, {_share(nearest, one):.3g} times the "
        f"limit{'' if _is_measured(nearest, one) else f' ({reading.tag})'}"
        f"{', the machine was not its own' if reading.disturbed else ''}"
        for one in limits
        if (reading := nearest.readings.get(one.reading)) is not None
    ]
    return [f"nothing fits; nearest: {nearest.label}: {'; '.join(over)}"]


def _prices(
    rows: Sequence[Row], fitting: Sequence[Row], comparison: Comparison, limits: Sequence[Limit]
) -> list[str]:
    """Return what could be had if one limit were dropped and the others kept."""
    lines = []
    best = next(iter(comparison.ordered(fitting)), None)
    for one in limits:
        rest = [other for other in limits if other is not one]
        free = [row for row in rows if _fits(row, rest)]
        first = next(iter(comparison.ordered(free)), None)
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
    assert comparison.verdicts is not None
    verdict = comparison.verdicts.between(first.method, best.method)
    gain = "" if verdict.mean is None else f", {metric_name(comparison)} {verdict.mean:+.4f}"
    word = {
        "not told apart": ": not told apart", "equal": ": equal",
        None: ": whether that is more cannot be told",
    }.get(verdict.word, "")  # fmt: skip
    spent = first.readings.get(one.reading)
    price = "" if spent is None else f" at {in_unit(spent.most, spent.unit)} ({spent.tag})"
    return f"{one.option} {one.text}: without it {first.label}{price}{gain}{word}"
