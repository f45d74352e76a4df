"""A variance in two parts that are known to different degrees, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from hwlit.statistics.student import student_p, two_sided_quantile

LEAST, LIKELIEST = 1e-30, 1 - 1e-6  # p values beyond which none is told from the next
STEPS = 60


class Form(Enum):
    """How an interval is made of the two parts."""

    TOGETHER = "one quantile for their sum, by Satterthwaite's degrees of freedom"
    APART = "each its own quantile; wider, and true where the noise rests on few runs"
    BY_RUNS = "the spread of the runs as it is, for it shows too little to take E0 out of it"


@dataclass(frozen=True)
class Spread:
    """The variance of a mean or of a difference.

    Args:
        row: By the draw of the test rows.
        row_freedom: Degrees of freedom of that estimate.
        noise: By training, as estimated; what is below 0 counts as 0.
        noise_freedom: Degrees of freedom of that estimate.
        expected: What the spread of the runs, from which `noise` was taken, would have been
            without it (E0).
        form: How the interval is made of them.
    """

    row: float
    row_freedom: float
    noise: float = 0.0
    noise_freedom: float = math.inf
    expected: float = 0.0
    form: Form = Form.TOGETHER

    @property
    def variance(self) -> float:
        """Both parts together."""
        return self.row + max(0.0, self.noise)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance.

        Noise that is estimated to be none is no more certain than other noise: to count the rows'
        degrees alone there leaves 92.6 % of differences in their intervals with two runs.

        Source: Satterthwaite, An approximate distribution of estimates of variance components,
        1946.
        """
        if self.variance <= 0:
            return self.row_freedom
        uncertain = (self.row / self.variance) ** 2 / self.row_freedom
        uncertain += (
            (max(0.0, self.noise) + self.expected) / self.variance
        ) ** 2 / self.noise_freedom
        least = min(self.row_freedom, self.noise_freedom)
        return max(1 / uncertain, least) if uncertain > 0 else least

    def half(self, p: float = 0.05) -> float:
        """Return half the width of the interval that holds the truth but for a share p."""
        if self.form is Form.TOGETHER:
            return two_sided_quantile(p, self.freedom) * math.sqrt(self.variance)
        rows, runs = (two_sided_quantile(p, f) for f in (self.row_freedom, self.noise_freedom))
        if self.form is Form.APART:
            return math.hypot(rows * math.sqrt(self.row), runs * math.sqrt(max(0.0, self.noise)))
        # The rows that runs do not share are in the spread of the runs already. Two runs may be
        # equal by chance: at least half of what the rows alone would give stays.
        shared, spread = max(0.0, self.row - self.expected), max(0.0, self.noise + self.expected)
        whole = math.hypot(rows * math.sqrt(shared), runs * math.sqrt(spread))
        return max(whole, rows * math.sqrt(self.row) / 2)

    def p(self, difference: float) -> float:
        """Return the two-sided p value of a difference: that of the interval which ends at 0."""
        if self.variance <= 0:
            return float(difference == 0)
        if self.form is Form.TOGETHER:
            return student_p(difference / math.sqrt(self.variance), self.freedom)
        return self._whose_half_is(abs(difference))

    def _whose_half_is(self, half: float) -> float:
        """Return the p of which `half` is this, between logarithms by the Illinois rule."""
        if half <= self.half(LIKELIEST):
            return 1.0
        if half >= self.half(LEAST):
            return LEAST

        def beyond(log_p: float) -> float:
            return math.log(self.half(math.exp(log_p)) / half)

        low, high = math.log(LEAST), math.log(LIKELIEST)
        above, below = beyond(low), beyond(high)
        middle = low
        for _ in range(STEPS):
            middle = (low * below - high * above) / (below - above)
            found = beyond(middle)
            if abs(found) < 1e-10:
                break
            if found > 0:
                low, above, below = middle, found, below / 2
            else:
                high, below, above = middle, found, above / 2
        return math.exp(middle)
