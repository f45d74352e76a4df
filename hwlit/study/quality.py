"""By which reading methods are ranked, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from hwlit.errors import UsageError
from hwlit.records import Direction, Measure, Record
from hwlit.study.collect import Run

NO_METRIC = "test/accuracy"  # what is missing where no run has a measure of quality


def metric_of(runs: Sequence[Run], asked: str | None, usual: str | None) -> str:
    """Return the name of the reading that methods are ranked by.

    Args:
        runs: Those that finished.
        asked: By the user, with or without `test/`.
        usual: The study's.

    Raises:
        UsageError: No run has what was asked for, or nothing says whether more of it is better.
    """
    records = [run.record for run in runs]
    if asked is None:
        return usual or _primary(records)
    known = dict(_readings(records))
    if not known:
        return asked
    for name in (asked, f"test/{asked}"):
        if name in known:
            if known[name].direction is not None:
                return name
            raise UsageError(
                f"{name} only describes a run: more of it is neither better nor worse; "
                f"there are {_rankable(known)}"
            )
    raise UsageError(f"no run has {asked!r}; there are {_rankable(known)}")


def measure_of(records: Iterable[Record], name: str) -> Measure | None:
    """Return what a reading means, as the first record that has it says; None where none has it.

    Where records name other margins the least of them counts.

    Raises:
        UsageError: They do not agree whether more of it is better.
    """
    found = [record.readings[name].measure for record in records if name in record.readings]
    if len({measure.direction for measure in found} - {None}) > 1:
        raise UsageError(
            f"runs do not agree whether more or less of {name} is better; compare them one by one"
        )
    margins = [measure.margin for measure in found if measure.margin is not None]
    return replace(found[0], margin=min(margins, default=None)) if found else None


def direction_of(records: Sequence[Record], name: str) -> Direction:
    """Return whether `max` or `min` of a metric is best.

    What is measured while training, such as `val/loss`, is no reading: it is as its twin of the
    test. Without one only a loss is better where it is less.
    """
    for own in (name, f"test/{name.rpartition('/')[2]}"):
        measure = measure_of(records, own)
        if measure is not None and measure.direction is not None:
            return measure.direction
    return "min" if name.rpartition("/")[2] == "loss" else "max"


def _primary(records: Sequence[Record]) -> str:
    known = list(_readings(records))
    quality = [name for name, measure in known if measure.role == "quality"]
    primary = [name for name, measure in known if measure.primary]
    return next(iter([*primary, *quality]), NO_METRIC)


def _readings(records: Iterable[Record]) -> Iterator[tuple[str, Measure]]:
    seen: set[str] = set()
    for record in records:
        for name, reading in record.readings.items():
            if name not in seen:
                seen.add(name)
                yield name, reading.measure


def _rankable(known: dict[str, Measure]) -> str:
    names = sorted(
        name for name, measure in known.items()
        if measure.role == "quality" and measure.direction is not None
    )  # fmt: skip
    return ", ".join(names) or "no metrics"
