"""A reading: one number, how it was obtained, what it means; and what stands beside numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

Tag = Literal["counted", "measured", "sampled", "estimated"]
Role = Literal["quality", "cost", "fact"]
Direction = Literal["max", "min"]
RowKind = Literal["binary", "real", "class"]
Combination = Literal[
    "mean", "ratio_of_sums", "accuracy",
    "f1_macro", "f1_weighted", "f1_positive",
    "precision_macro", "precision_positive", "recall_macro", "recall_positive",
]  # fmt: skip
ExhibitKind = Literal["matrix", "curve", "images", "texts"]
# The worse the later; what is pooled over runs is as good as its worst.
TAGS: tuple[Tag, ...] = get_args(Tag)


@dataclass(frozen=True)
class How:
    """How a number was obtained."""

    alike: ClassVar[bool] = True  # many readings have the same: it is decoded once

    tag: Tag
    """Whether it was counted, measured, sampled or only estimated."""
    text: str
    """The source and what belongs to it, for people."""

    def and_(self, more: str) -> How:
        """Return the same with more to say."""
        return How(self.tag, f"{self.text}{more}")

    def __str__(self) -> str:
        return f"{self.tag}: {self.text}" if self.text else self.tag


def counted(text: str) -> How:
    """Return that a number was counted."""
    return How("counted", text)


def measured(text: str) -> How:
    """Return that a number was measured."""
    return How("measured", text)


def sampled(text: str) -> How:
    """Return that a number comes from samples in time."""
    return How("sampled", text)


def estimated(text: str) -> How:
    """Return that a number was computed from assumptions."""
    return How("estimated", text)


@dataclass(frozen=True)
class Measure:
    """What a number means to whoever compares runs."""

    alike: ClassVar[bool] = True

    role: Role = "fact"
    """quality: what the run is good for; cost: what it takes; fact: what only describes it."""
    direction: Direction | None = None
    """Whether more (max) or less (min) is better; absent of a fact."""
    bounds: tuple[float | None, float | None] = (None, None)
    """Least and greatest value that there can be; null where there is no end."""
    margin: float | None = None
    """Difference, in the reading's unit, below which two values are as good as equal."""
    primary: bool = False
    """Whether runs of its task are ranked by it unless another one is asked for."""


FACT = Measure()
COST = Measure("cost", "min", (0.0, None))


@dataclass(frozen=True)
class Rows:
    """How a value follows from the test rows in `test_rows`."""

    alike: ClassVar[bool] = True

    combination: Combination
    """How the counts of the rows are combined."""
    columns: tuple[str, ...]
    """The columns that hold the counts, in the order that the combination takes."""

    def __post_init__(self) -> None:
        takes = 1 if self.combination == "mean" else 2
        if len(self.columns) != takes:
            raise ValueError(f"{self.combination} takes {takes} columns, got {len(self.columns)}")


@dataclass(frozen=True)
class Reading:
    """One number with its unit and how it was obtained."""

    value: float
    """The number, in SI units; shares and counts have the unit 1."""
    unit: str
    """Unit of value, low and high."""
    how: How
    """How it was obtained."""
    low: float | None = None
    """Lower end of the 95 % interval, or of the range of assumptions of what was estimated."""
    high: float | None = None
    """Upper end."""
    n: int | None = None
    """How many observations it rests on."""
    interval: str | None = None
    """What low and high are, such as: Wilson interval."""
    measure: Measure = FACT
    """What the number means to whoever compares runs."""
    rows: Rows | None = None
    """How it follows from the test rows; absent where it does not."""
    variance: float | None = None
    """Variance of the value over test rows, in squared units: what is known where rows are gone."""

    def __post_init__(self) -> None:
        for number in (self.value, self.low, self.high, self.variance):
            if number is not None and not math.isfinite(number):
                raise ValueError(
                    f"a reading must be finite, got {number}; leave it out, with a reason"
                )
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        if self.n is not None and self.n < 0:
            raise ValueError(f"n {self.n} is negative")
        if self.variance is not None and self.variance < 0:
            raise ValueError(f"variance {self.variance:g} is negative")


@dataclass(frozen=True)
class TestRows:
    """The file with one line per test row: `row_id`, `group` where rows are alike, and counts."""

    __test__ = False  # pytest would collect it

    columns: dict[str, RowKind]
    """What kind of count each column holds."""
    n: int
    """How many rows there are."""
    file: str | None = None
    """Its name in the run's directory."""
    truth: str | None = None
    """The column with the right answer: two runs are paired only where it is the same."""
    values: dict[str, list[Any]] = field(default_factory=dict)
    """The columns themselves, of a record of schema 1 that has no such file."""


@dataclass(frozen=True)
class Exhibit:
    """What the test or the training shows beside numbers."""

    name: str
    """What it is called in the record: confusion_matrix, learning_rate, validation, ..."""
    kind: ExhibitKind
    """What it is: matrix, curve, images or texts."""
    title: str
    """Its heading."""
    file: str | None = None
    """The file or folder in the run's directory that holds it."""
    labels: tuple[str, ...] = ()
    """Of a matrix, the names of its rows and columns."""
    counts: tuple[tuple[float, ...], ...] = ()
    """Of a matrix, its cells: true class by predicted class."""
    columns: dict[str, list[float]] = field(default_factory=dict)
    """Of a curve, its columns, the x axis first; one may be shorter where it was not logged."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else belongs to it, such as its class."""


def worst(tags: Sequence[Tag]) -> Tag:
    """Return the tag of what rests on readings with these tags; at least one."""
    return max(tags, key=TAGS.index)
