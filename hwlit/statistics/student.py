"""Student's t distribution, for numbers of degrees of freedom that need not be whole."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

Z_95 = 1.959963984540054  # 97.5 % quantile of the normal distribution
NORMAL_FROM = 1e6  # degrees of freedom from which Student's t is the normal distribution
NEWTON_STEPS = 20  # far more than any takes (8)
STRIDE = 40.0  # of the logarithm, in one step
SMALLEST = 1e-300  # keeps Lentz's denominators from zero


def student_p(t: float, freedom: float) -> float:
    """Return the two-sided p value of Student's t.

    Args:
        t: The statistic.
        freedom: Degrees of freedom, any positive number.

    Source: https://dlmf.nist.gov/8.17 and Abramowitz and Stegun 26.7.1.
    """
    if math.isinf(t):
        return 0.0
    if freedom > NORMAL_FROM:
        return math.erfc(abs(t) / math.sqrt(2))
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def student_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t above its middle.

    Args:
        probability: At least 0.5 and below 1.
        freedom: Degrees of freedom.
    """
    return two_sided_quantile(2 * (1 - probability), freedom)


@lru_cache(maxsize=4096)
def two_sided_quantile(p: float, freedom: float) -> float:
    """Return the t whose two-sided p value is given; the inverse of `student_p`, for t >= 0.

    Args:
        p: Above 0, at most 1.
        freedom: Degrees of freedom.
    """
    if p >= 1:
        return 0.0
    p = max(p, SMALLEST)
    t = -NormalDist().inv_cdf(p / 2)
    if freedom > NORMAL_FROM:
        return t
    # The logarithm of the tail is concave in that of t, and its slope negative: Newton's steps on
    # them, once past the quantile, come back to it without overshooting, however heavy the tail.
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale -= math.log(freedom * math.pi) / 2
    for _ in range(NEWTON_STEPS):
        tail = max(student_p(t, freedom), SMALLEST)
        density = math.exp(scale - math.log1p(t * t / freedom) * (freedom + 1) / 2)
        step = math.log(tail / p) * tail / (2 * t * max(density, SMALLEST))
        t *= math.exp(max(-STRIDE, min(STRIDE, step)))
        if abs(step) < 1e-9:  # the next one would be its square
            break
    return t


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function by Lentz's continued fraction."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(front + a * math.log(x) + b * math.log1p(-x)) / a
    fraction, c, d = 1.0, 1.0, 0.0
    for i in range(500):
        m = i // 2
        if i == 0:
            step = 1.0
        elif i % 2 == 0:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + step * d or SMALLEST)
        c = 1 + step / c or SMALLEST
        fraction *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (fraction - 1)
