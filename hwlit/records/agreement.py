"""Whether the parts of a record that was read agree with one another."""

from __future__ import annotations

from hwlit.records.decoding import Unfit
from hwlit.records.readings import Exhibit, Measure, Reading, TestRows
from hwlit.records.schema import Record

ROUNDING = 1e-5  # a cosine in fp32 may be a little above 1


def check_agreement(record: Record) -> None:
    """Refuse a record whose parts contradict each other.

    Raises:
        Unfit: Two parts do.
    """
    for name, reading in record.readings.items():
        try:
            _check_reading(reading)
        except Unfit as error:
            raise error.below(name).below("readings") from None
    if (rows := record.test_rows) is not None:
        _check_rows(rows)
    for place, exhibit in enumerate(record.exhibits):
        try:
            _check_exhibit(exhibit)
        except Unfit as error:
            raise error.below(place).below("exhibits") from None
    for place, mark in enumerate(record.disturbed or ()):
        if mark.value < 0:
            raise Unfit("is negative").below("value").below(place).below("disturbed")
    for place, phase in enumerate(record.phases):
        if phase.wall_time < 0:
            raise Unfit("is negative").below("wall_time").below(place).below("phases")
    for place, seconds in enumerate(record.step_times):
        if seconds < 0:
            raise Unfit("is negative").below(place).below("step_times")


def _check_reading(reading: Reading) -> None:
    _check_measure(reading.measure)
    low, high = reading.measure.bounds
    below = low is not None and reading.value < low - ROUNDING
    if below or (high is not None and reading.value > high + ROUNDING):
        raise Unfit("is outside its bounds").below("value")


def _check_measure(measure: Measure) -> None:
    low, high = measure.bounds
    if low is not None and high is not None and low > high:
        raise Unfit("are crossed").below("bounds").below("measure")
    if measure.margin is not None and measure.margin < 0:
        raise Unfit("is negative").below("margin").below("measure")
    if measure.role == "quality" and measure.direction is None:
        raise Unfit("is missing").below("direction").below("measure")


def _check_rows(rows: TestRows) -> None:
    if rows.n < 0:
        raise Unfit("is negative").below("n").below("test_rows")
    lengths = {len(column) for column in rows.values.values()}
    if len(lengths) > 1:
        raise Unfit("has columns of different lengths").below("values").below("test_rows")


def _check_exhibit(exhibit: Exhibit) -> None:
    if exhibit.kind == "matrix" and exhibit.counts:
        sides = {len(exhibit.counts), *map(len, exhibit.counts)}
        if sides != {len(exhibit.labels)}:
            raise Unfit("is not as wide and high as it has labels").below("counts")
