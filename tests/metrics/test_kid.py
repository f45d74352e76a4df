import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from hwlit.metrics.kid import kernel_distance, kernel_distance_interval


def normal(rows, seed, dimensions=8, mean=0.0):
    return mean + torch.randn(
        rows, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )


def test_a_case_by_hand():
    # Two features: east (1, 0) and north (0, 1). Kernels: (1/2 + 1)^3 = 27/8 of likes, 1 of others.
    east, north = torch.eye(2)
    found = kernel_distance(torch.stack([east, east]), torch.stack([north, north, east]))
    within = (2 * 27 / 8 + 4 * 1) / 6  # of the second set: two of six ordered pairs are alike
    between = (2 * 27 / 8 + 4 * 1) / 6  # likewise
    assert found == pytest.approx(27 / 8 + within - 2 * between)


def test_it_is_that_of_torchmetrics_where_that_one_is_defined():
    generated, real = normal(12, 0), normal(12, 1, mean=0.5)
    assert kernel_distance(generated, real) == pytest.approx(float(poly_mmd(real, generated)))


def test_it_is_zero_in_expectation_for_one_distribution_and_grows_with_their_distance():
    def over_draws(mean):
        pairs = [(normal(6, 2 * i), normal(10, 2 * i + 1, mean=mean)) for i in range(400)]
        return torch.tensor([kernel_distance(*pair) for pair in pairs])

    same, near, far = (over_draws(mean) for mean in (0.0, 0.3, 0.6))
    assert same.min() < 0  # unbiased, so not clipped
    assert abs(same.mean()) < 3 * same.std() / 20
    assert 0 < near.mean() < far.mean()


def test_the_interval_is_as_wide_as_new_draws_say():
    draws = [(normal(30, 2 * i), normal(40, 2 * i + 1, mean=0.5)) for i in range(100)]
    spread = torch.tensor([kernel_distance(*draw) for draw in draws]).std()
    found = [kernel_distance_interval(*draw, groups=range(30)) for draw in draws]
    told = torch.tensor([(high - low) / 2 / 1.96 for low, high in found]).mean()
    assert float(told) == pytest.approx(float(spread), rel=0.25)


def test_the_interval_leaves_out_whole_prompts():
    centres, real = normal(6, 0), normal(9, 1)
    alike = centres.repeat_interleave(2, dim=0) + 0.01 * normal(12, 2)
    prompts = [place // 2 for place in range(12)]
    value = kernel_distance(alike, real)
    low, high = kernel_distance_interval(alike, real, prompts)
    single = kernel_distance_interval(alike, real, range(12))
    assert low < value < high
    assert high - low > single[1] - single[0]
    # The same by leaving out in earnest.
    kept = [alike[[p != left for p in prompts]] for left in range(6)]
    first = torch.tensor([kernel_distance(rows, real) for rows in kept])
    rest = [real[[i != left for i in range(9)]] for left in range(9)]
    second = torch.tensor([kernel_distance(alike, rows) for rows in rest])
    variance = sum(v.var(correction=0) * (len(v) - 1) for v in (first, second))
    assert (high - low) / 2 == pytest.approx(1.959964 * float(variance) ** 0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("generated", "real", "groups"), [(2, 5, "ab"), (5, 2, "aabbc"), (3, 5, "aab")]
)
def test_too_few_have_no_interval(generated, real, groups):
    assert kernel_distance_interval(normal(generated, 0), normal(real, 1), groups) is None


def test_pictures_of_one_prompt_are_left_out_one_by_one():
    sets = normal(5, 0), normal(5, 1)
    assert kernel_distance_interval(*sets, "aaaaa") == kernel_distance_interval(*sets, "abcde")
