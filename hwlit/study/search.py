"""The largest value that still fits, found by bisection: which one to try next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwlit.errors import UsageError


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Args:
        key: The setting, such as `data.batch_size`; an integer.
        low: The smallest value, tried first.
        high: The largest value that may be tried.
        step: Stops once the largest that fits is known to less than this.
    """

    key: str
    low: int = 1
    high: int = 1024
    step: int = 1

    def __post_init__(self) -> None:
        numbers = {"low": self.low, "high": self.high, "step": self.step}
        for name, value in numbers.items():
            if type(value) is not int:
                raise UsageError(f"search.{name} is {value!r}; give a whole number")
        if not 1 <= self.low <= self.high or self.step < 1:
            raise UsageError(
                f"search from {self.low} to {self.high} by {self.step} has nothing to try; "
                "low is at least 1, high at least low, step at least 1"
            )

    def next_value(self, fits: Mapping[int, bool]) -> int | None:
        """Return the value to try next: doubled until one fails, then halfway; None at the end.

        Args:
            fits: For each value that was tried whether it fitted.
        """
        good = max((value for value, fitted in fits.items() if fitted), default=None)
        bad = min((value for value, fitted in fits.items() if not fitted), default=None)
        if good is None:
            return self.low if bad is None else None
        if bad is None:
            return None if good >= self.high else min(2 * good, self.high)
        return None if bad - good <= self.step else (good + bad) // 2
