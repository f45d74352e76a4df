"""A table of texts, which every format prints, and numbers as people read them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwlit.study.pooling import Pooled
from hwlit.study.show import in_unit

NARROW = 0.01  # an interval below it needs one more digit


@dataclass(frozen=True)
class Cell:
    """A text, and the number by which a reader may sort."""

    text: str
    number: float | None = None


@dataclass
class Grid:
    """A table with its heading and what has to be known to read it.

    Args:
        title: Heading.
        columns: Headings; the first column is text, the others are numbers or words.
        rows: One list of cells each.
        notes: Sentences below it.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def quantity(pooled: Pooled | None, tagged: bool = True) -> str:
    """Return a value in people's units, with half its range over seeds in percent.

    Args:
        pooled: The value.
        tagged: Whether to say of an energy how it was obtained.
    """
    if pooled is None:
        return ""
    text = in_unit(pooled.value, pooled.unit)
    if pooled.most > pooled.least and pooled.value:
        text += f" ±{50 * (pooled.most - pooled.least) / abs(pooled.value):.2g} %"
    if pooled.unit == "J" and tagged:
        text += f" {pooled.tag}"
    return f"{text} !" if pooled.disturbed else text


def interval(low: float | None, high: float | None, signed: bool = False) -> str:
    """Return the ends of an interval; nothing where there is none."""
    if low is None or high is None:
        return ""
    digits = 3 if high - low >= NARROW else 4
    sign = "+" if signed else ""
    return f"{low:{sign}.{digits}f} .. {high:{sign}.{digits}f}"


def chance(p: float | None) -> str:
    """Return a p value."""
    return "" if p is None else "<0.0001" if p < 1e-4 else f"{p:.4f}"


def span(ends: tuple[int, int] | None) -> str:
    """Return about how many, from a range."""
    if ends is None:
        return ""
    low, high = (_rounded(end) for end in ends)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def times(ratio: float | None) -> str:
    """Return a ratio as text, with a space before it; nothing for none, or of nothing."""
    return "" if not ratio else f" {ratio:.2f}x" if ratio >= 0.1 else f" {ratio:.2g}x"


def _rounded(number: int) -> int:
    """Return two digits of a number, for more would pretend to know it."""
    return number if number < 100 else int(float(f"{number:.2g}"))
