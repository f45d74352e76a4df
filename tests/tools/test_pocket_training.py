"""The loop that trained the shipped models: a killed run goes on and ends with the same weights."""

import copy

import pytest
import torch
from torch import nn

from tools.pocket.training import Settings, rate_at, train


def run(folder, stop_at=None, steps=12):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    mean = copy.deepcopy(model).requires_grad_(False)
    seen = []

    def loss(rng):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        seen.append(torch.from_numpy(rng.normal(size=(5, 4))).float())
        return (model(seen[-1]) - seen[-1].sum(1, keepdim=True) + torch.randn(5, 1)).square().mean()

    train(model, mean, loss, Settings(folder, steps, 0.01, ema=0.9, save_every=4, bf16=False))
    return model, mean, seen


def test_a_killed_run_ends_like_one_that_was_not(tmp_path):
    whole, whole_mean, batches = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop_at=6)
    again, again_mean, rest = run(tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(batches[4:], rest, strict=True))
    for one, two in ((whole, again), (whole_mean, again_mean)):
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)
        )
    assert not torch.equal(whole[0].weight, whole_mean[0].weight)


def test_a_finished_run_is_not_repeated(tmp_path):
    first, _, _ = run(tmp_path)
    second, _, seen = run(tmp_path)
    assert seen == []
    assert torch.equal(first[0].weight, second[0].weight)


def test_the_rate_rises_stays_and_falls_to_zero(tmp_path):
    settings = Settings(tmp_path, 1000, 0.5)
    assert rate_at(0, settings) == pytest.approx(0.005)
    assert rate_at(100, settings) == rate_at(800, settings) == 0.5
    assert rate_at(900, settings) == pytest.approx(0.25)
    assert rate_at(1000, settings) == 0
