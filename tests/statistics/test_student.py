"""Student's t, against scipy."""

import pytest
from scipy import stats

from hwlit.statistics.student import student_p, student_quantile, two_sided_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3.7, 30, 1000, 2e5, 1e7])
def test_students_t(freedom):
    for t in (0, 0.1, 1.3, 4.5, 12.0):
        assert student_p(t, freedom) == pytest.approx(
            2 * stats.t.sf(t, freedom), rel=1e-4 if freedom > 1e6 else 1e-7
        )
    for probability in (0.5, 0.6, 0.8, 0.975, 0.9999):
        found = student_quantile(probability, freedom)
        assert found == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("p", [1, 0.999, 0.3, 0.05, 1e-9, 1e-40])
@pytest.mark.parametrize("freedom", [1, 1.5, 4, 200])
def test_the_quantile_is_the_inverse(p, freedom):
    assert student_p(two_sided_quantile(p, freedom), freedom) == pytest.approx(p, rel=1e-6)


def test_what_has_no_variance_is_certain():
    assert student_p(float("inf"), 3) == 0
