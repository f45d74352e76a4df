"""Which method costs least, in sentences that the runs bear."""

from __future__ import annotations

from collections.abc import Sequence

from hwlit.study.comparison import Comparison, Row
from hwlit.study.costs import CostRatio
from hwlit.study.latency import OVER_BASE, RESOLUTION, UNMERGED_OVER_BASE, is_latency
from hwlit.study.listing import listed, names, verb
from hwlit.study.table import quantity, times

NEAR = 1.01  # a ratio below it is no multiple


def cost_sentences(comparison: Comparison) -> list[str]:
    """Return who costs least by each measure, and what is slower than the base network."""
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
    told = [text for name, what in measures if (text := _least(comparison, name, what))]
    return [*told, *_energy(comparison), *_slower(comparison)]


def _energy(comparison: Comparison) -> list[str]:
    """Return what an energy means that no counter measured."""
    metered = [row for row in comparison.rows if "fit/energy" in row.readings]
    estimated = [row for row in metered if row.readings["fit/energy"].tag == "estimated"]
    if not estimated:
        return []
    who = names(estimated) if len(estimated) < len(metered) else "every method that has it"
    return [
        f"Energy (CPU only, estimated) is not measured for {who}: without counters it ranks "
        "methods as processor time does."
    ]


def _slower(comparison: Comparison) -> list[str]:
    """Return which rows take longer than the network in full precision that they began as."""
    told, of_one = [], False
    for what, name in (("merged", OVER_BASE), ("unmerged", UNMERGED_OVER_BASE)):
        rows = [row for row in comparison.rivals() if _is_slower(row, name)]
        if rows:
            ratios = [f"{row.label} {times(row.value(name)).strip()}" for row in rows]
            told.append(f"{what} {listed(ratios)}")
            of_one |= any(row.readings[name].low is None for row in rows)
    if not told:
        return []
    text = f"Slower than the unquantised base ({comparison.latency_input}): {'; '.join(told)}"
    return [text + (" (one run: its spread is not known)" if of_one else "") + "."]


def _is_slower(row: Row, name: str) -> bool:
    """Return whether a network is slower than its base by more than two timings of it differ."""
    found = row.readings.get(name)
    if found is None:
        return False
    beyond = found.value if found.low is None else found.low
    return found.value > 1 + RESOLUTION and beyond > 1


def _least(comparison: Comparison, name: str, what: str) -> str:
    """Return a sentence on who has least of something; "" where fewer than two have it."""
    known = [
        row
        for row in comparison.rivals()
        if name in row.readings and (is_latency(name) or row.value("params/trainable"))
    ]
    whole = [row for row in known if row.has_whole(name)]
    rows = [row for row in whole if not row.readings[name].disturbed]
    if len(rows) < 2:
        return ""
    first = comparison.least(rows, name)
    others = sorted((row for row in rows if row is not first), key=lambda row: row.value(name) or 0)
    mine = first.readings[name]
    told = times(mine.value).strip() if name == OVER_BASE else quantity(mine, tagged=False)
    if mine.tag == "estimated":
        told += ", estimated"
    text = f"{what}: {first.label}, {told}{_beside(comparison, first, others, name)}"
    if some := [row for row in known if row not in whole]:
        text += f"; not ranked: {names(some)}, which {verb(some, 'has', 'have')} it of some runs"
    if marked := [row for row in whole if row not in rows]:
        text += f"; not ranked: {names(marked)}, whose runs had no machine to themselves"
    seconds = comparison.latency("merged", "p50")
    apart = [
        row
        for row in comparison.rivals()
        if name == OVER_BASE and seconds in row.readings and row not in known
    ]
    if apart:
        text += f"; not ranked: {names(apart)}, timed with another base, or none"
    if unlike := [row for row in (first, others[0]) if row.flags]:
        text += f"; {names(unlike)} {verb(unlike, 'is', 'are')} not like the baseline"
    return text + "."


def _beside(comparison: Comparison, first: Row, others: Sequence[Row], name: str) -> str:
    """Return how the least of something stands to the others, which come in order."""
    costs = comparison.costs(name)
    exact = first.readings[name].tag == "counted"
    ratios = [(row, costs.between(row.method, first.method)) for row in others]
    same = [row for row in others if row.value(name) == first.value(name)]
    ratios = [(row, ratio) for row, ratio in ratios if row not in same]
    alike = [row for row, ratio in ratios if not exact and _alike(first, row, ratio, name)]
    rest = [(row, ratio) for row, ratio in ratios if row not in alike]
    text = f"; the same: {names(same)}" if same else ""
    if alike:
        text += f"; not told apart from {names(alike)}"
    if not rest:
        return text
    if same or alike:
        return f"{text}; next {_next(first, *rest[0], name)}"
    order = "" if _is_near(first, others[0], name) else "next "
    return f"; {order}{_next(first, *ratios[0], name)}"


def _alike(first: Row, row: Row, ratio: CostRatio | None, name: str) -> bool:
    """Return whether the runs do not show a row to take more than the first."""
    mine, theirs = first.value(name) or 0.0, row.value(name) or 0.0
    if name == OVER_BASE and theirs < (1 + RESOLUTION) * mine:
        return True
    if ratio is None:  # no seed in common, or nothing to take the log of
        return theirs == mine
    if ratio.p is None:
        return ratio.value == 1
    return not ratio.told


def _is_near(first: Row, row: Row, name: str) -> bool:
    mine = first.value(name)
    return bool(mine) and (row.value(name) or 0.0) / (mine or 1.0) < NEAR


def _next(first: Row, row: Row, ratio: CostRatio | None, name: str) -> str:
    """Return by how much a row is above the first."""
    mine, theirs = first.value(name), row.value(name)
    if not mine or theirs is None:
        return row.label
    if _is_near(first, row, name):
        text = f"{row.label} is less than one percent above"
    else:
        text = f"{row.label}, {ratio.value if ratio else theirs / mine:.3g} times that"
        ends = [] if ratio is None or ratio.low is None else [ratio.low, ratio.high]
        shown = [f"{end:.3g}" for end in ends]
        if len(set(shown)) == 2:
            text += f" ({' to '.join(shown)})"
    single = ratio is None or ratio.p is None
    counted = first.readings[name].tag == "counted"
    return text + (" (one run: its spread is not known)" if single and not counted else "")
