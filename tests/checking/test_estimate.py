"""How much a run would compute, by closed forms."""

from types import SimpleNamespace

import pytest

from hwlit.checking.estimate import clock, planned, token_slots
from hwlit.checking.rehearsal import halves
from hwlit.data.batching import LengthBatchSampler


@pytest.mark.parametrize(
    ("settings", "batches", "evaluations"),
    [
        ({"max_epochs": 4}, 400, 4),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, 400, 2),
        ({"max_epochs": 4, "val_check_batch": 25}, 400, 16),
        ({"max_epochs": 4, "max_steps": 30, "accumulate_grad_batches": 5}, 150, 1),
        ({"max_epochs": -1, "max_steps": 250}, 250, 2),
        ({"max_epochs": 4, "check_val_every_n_epoch": None, "val_check_batch": 50}, 400, 8),
    ],
)
def test_batches_and_evaluations_are_counted(settings, batches, evaluations):
    usual = {"num_training_batches": 100, "max_steps": -1, "accumulate_grad_batches": 1,
             "check_val_every_n_epoch": 1, "val_check_batch": 100}  # fmt: skip
    assert planned(SimpleNamespace(**usual | settings)) == (batches, evaluations)


def test_token_slots_count_the_padding():
    order = LengthBatchSampler([5, 3, 4, 1, 2], 2, seed=0, shuffle=False)  # 5 4 | 3 2 | 1
    assert token_slots(order, None, None) == 2 * 5 + 2 * 3 + 1
    assert token_slots(order, 1, None) == 2 * 5
    assert token_slots(order, 0.7, None) == 2 * 5 + 2 * 3
    assert token_slots(order, None, 8) == 5 * 8


def test_the_mean_lies_between_the_halves():
    assert halves([1.0, 9.0, 2.0, 4.0]) == (4.0, 1.5, 6.5)
    assert halves([3.0, 1.0, 2.0]) == (2.0, 1.5, 2.5)


def test_seconds_are_said_as_people_say_them():
    assert [clock(s) for s in (0.04, 42, 300, 7260)] == ["0.0 s", "42 s", "5 min", "2.0 h"]
