"""A variance in two parts that are known to different degrees, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwlit.statistics.student import student_p, two_sided_quantile

HALVINGS = 60  # of the range of a p value, which leaves nothing of it


@dataclass(frozen=True)
class Spread:
    """The variance of a mean or of a difference.

    Args:
        row: By the draw of the test rows.
        row_freedom: Degrees of freedom of that estimate.
        noise: By training, at least 0.
        noise_freedom: Degrees of freedom of that estimate.
        expected: What the spread of the runs, from which `noise` was taken, would have been
            without it; it makes that estimate less sure.
        apart: Whether each part has its own quantile in the interval, instead of one for their
            sum. Wider, and true where `noise` rests on few runs.
    """

    row: float
    row_freedom: float
    noise: float = 0.0
    noise_freedom: float = math.inf
    expected: float = 0.0
    apart: bool = False

    @property
    def variance(self) -> float:
        """Both parts together."""
        return self.row + self.noise

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance.

        Source: Satterthwaite, An approximate distribution of estimates of variance components,
        1946.
        """
        if self.noise <= 0 or self.variance <= 0:
            return self.row_freedom
        uncertain = self.row**2 / self.row_freedom
        uncertain += (self.noise + self.expected) ** 2 / self.noise_freedom
        return self.variance**2 / uncertain

    def half(self, p: float = 0.05) -> float:
        """Return half the width of the interval that holds the truth but for a share p."""
        if not self.apart:
            return two_sided_quantile(p, self.freedom) * math.sqrt(self.variance)
        square = two_sided_quantile(p, self.row_freedom) ** 2 * self.row if self.row else 0.0
        if self.noise:
            square += two_sided_quantile(p, self.noise_freedom) ** 2 * self.noise
        return math.sqrt(square)

    def p(self, difference: float) -> float:
        """Return the two-sided p value of a difference: that of the interval which ends at 0."""
        if self.variance <= 0:
            return float(difference == 0)
        if not self.apart:
            return student_p(difference / math.sqrt(self.variance), self.freedom)
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.half(middle) > abs(difference) else (low, middle)
        return high
