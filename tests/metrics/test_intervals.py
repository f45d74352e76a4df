import math

import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score

from hwlit.metrics.intervals import (
    bootstrap_interval,
    f1_macro,
    f1_per_class,
    f1_positive,
    f1_weighted,
    mean_interval,
    wilson_interval,
)


def test_wilson_of_known_cases():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]:  # fmt: skip
        assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_symmetric_and_stays_inside():
    low, high = wilson_interval(20, 20)
    assert (1 - low, 1 - high) == pytest.approx((wilson_interval(0, 20)[1], 0.0))


@pytest.mark.parametrize(("ours", "average"), [(f1_macro, "macro"), (f1_weighted, "weighted")])
def test_f1_agrees_with_torchmetrics(ours, average):
    torch.manual_seed(0)
    for _ in range(20):
        targets, guesses = torch.randint(0, 4, (2, 30))
        counts = torch.zeros(4, 4)
        counts.index_put_((targets, guesses), torch.ones(30), accumulate=True)
        expected = multiclass_f1_score(guesses, targets, num_classes=4, average=average)
        assert float(ours(counts)) == pytest.approx(float(expected))


def test_f1_by_hand():
    counts = torch.tensor([[5.0, 1.0], [2.0, 4.0]])
    assert f1_per_class(counts).tolist() == pytest.approx([10 / 13, 8 / 11])
    assert float(f1_positive(counts)) == pytest.approx(8 / 11)
    assert float(f1_positive(torch.tensor([[5.0, 0.0], [0.0, 0.0]]))) == 0.0


def test_the_bootstrap_of_a_share_is_the_normal_interval():
    counts = torch.tensor([[700, 100], [200, 1000]])

    def accuracy(confusion):
        return confusion.diagonal(dim1=-2, dim2=-1).sum(-1) / confusion.sum((-2, -1))

    low, high = bootstrap_interval(counts, accuracy)
    half = 1.96 * math.sqrt(0.85 * 0.15 / 2000)
    assert (low, high) == pytest.approx((0.85 - half, 0.85 + half), abs=0.002)


def test_the_bootstrap_repeats_itself():
    counts = torch.tensor([[701, 103], [207, 1001]])
    assert bootstrap_interval(counts, f1_macro) == bootstrap_interval(counts, f1_macro)
    assert bootstrap_interval(counts, f1_macro) != bootstrap_interval(counts, f1_macro, seed=1)


def test_a_mean_of_independent_values_is_as_sure_as_its_standard_error_says():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)) * 3 + 1
    low, high = mean_interval(values, range(400))
    error = float(values.std()) / 20
    assert low == pytest.approx(float(values.mean()) - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(float(values.mean()) + 1.96 * error, abs=0.1 * error)


def test_values_of_a_group_count_once():
    values = torch.tensor([0.0, 1.0, 1.0, 0.0])
    alone = mean_interval(values, "abcd")
    copied = mean_interval(values.repeat_interleave(50), [g for g in "abcd" for _ in range(50)])
    assert copied == pytest.approx(alone)
    low, high = mean_interval(values.repeat_interleave(50), range(200))
    assert high - low < 0.5 * (copied[1] - copied[0])


def test_two_groups_can_tell_nothing_and_one_is_drawn_from_by_value():
    assert mean_interval(torch.tensor([0.0, 1.0]), "ab") == (0.0, 1.0)
    values = torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert mean_interval(values, "aaaa") == mean_interval(values, "abcd")
    assert mean_interval(torch.tensor([0.5, 0.5]), "ab") == (0.5, 0.5)
    assert mean_interval(torch.tensor([0.5]), "a") is None
