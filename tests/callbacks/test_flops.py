import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hwlit.__main__ import main
from hwlit.callbacks.flops import COUNTED, Flops
from hwlit.devices.selection import device_for
from hwlit.records import Reading

BATCH = {"row_id": torch.arange(4), "attention_mask": torch.ones(4, 6)}
PER_BATCH = 2 * 24 * 8 * 2 * 2  # 24 tokens, a layer of 8 x 2, forward and gradient of its weights


class Timed:
    """Stands in for the monitor of steps."""

    def __init__(self, **rates):
        self.rates = rates

    def readings(self):
        return {f"fit/{k}_per_second": Reading(v, "1/s", "measured") for k, v in self.rates.items()}


def device(name="Some CPU", kind="cpu"):
    found = device_for(torch.device("cpu"))
    found.describe, found.kind = lambda: {"name": name}, kind
    return found


def trained(monitor, steps=3, batch=BATCH, world_size=1, options=None, layer=None):
    trainer = SimpleNamespace(accumulate_grad_batches=2, world_size=world_size)
    layer = layer or nn.Linear(8, 2, bias=False)
    monitor.on_train_start(trainer, SimpleNamespace(hparams=options or {}))
    for number in range(steps):
        monitor.on_train_batch_start(None, None, batch, number)
        layer(torch.ones(4, 6, 8)).sum().backward()
        monitor.on_train_batch_end(None, None, None, batch, number)
    return monitor


def test_flops_are_of_an_optimizer_step_a_sample_and_a_token():
    timed = Timed(samples=40.0, token_slots=300.0)
    found = trained(Flops(device(), timed), world_size=3).readings()
    assert found["fit/model_flops"].value == PER_BATCH * 2 * 3
    assert found["fit/model_flops/sample"].value == PER_BATCH / 4
    assert found["fit/model_flops/token"].value == PER_BATCH / 24
    # Batches are padded to lengths of their own, so that tokens and not steps are counted on.
    assert found["fit/flops_per_second"].value == pytest.approx(PER_BATCH / 24 * 300)


def test_pictures_have_no_tokens():
    batch = {"row_id": torch.arange(4)}
    found = trained(Flops(device(), Timed(samples=40.0)), batch=batch).readings()
    assert found["fit/flops_per_second"].value == pytest.approx(PER_BATCH / 4 * 40)
    assert "fit/model_flops/token" not in found


def test_the_share_of_a_known_peak_is_by_process():
    gpu = device("NVIDIA A100-SXM4-40GB")
    monitor = trained(Flops(gpu, Timed(samples=4e12)), world_size=2)
    found = monitor.readings()
    share = found["fit/flops_per_second"].value / 2 / 19.5e12
    assert found["fit/share_of_peak"].value == pytest.approx(share)
    assert "19.5 TFLOP/s (NVIDIA A100 data sheet" in found["fit/share_of_peak"].how.text
    assert not monitor.absent()


@pytest.mark.parametrize(
    ("monitor", "told", "names"),
    [
        (lambda: trained(Flops(device(), Timed(samples=1.0))), "no published peak is known of", 1),
        (lambda: trained(Flops(device(), Timed())), "no step was timed", 2),
        (lambda: trained(Flops(device(), Timed()), steps=1), "no such whole step", 3),
        (lambda: trained(Flops(device(kind="tpu"), Timed())), "on a TPU", 3),
        (
            lambda: trained(Flops(device(), Timed()), options={"compile": True}),
            "the step is compiled",
            3,
        ),
        (
            lambda: trained(
                Flops(device(), Timed()),
                layer=lambda rows: torch.linalg.solve(torch.eye(6).requires_grad_(), rows),
            ),
            "aten._linalg_solve_ex",
            3,
        ),
    ],
)
def test_what_cannot_be_counted_is_absent_with_the_reason(monitor, told, names):
    found = monitor().absent()
    assert len(found) == names
    assert all(told in reason for reason in found.values())


def test_a_run_that_trains_nothing_says_nothing():
    assert not Flops(device(), Timed()).absent()
    assert not Flops(device(), Timed()).readings()


def test_a_step_that_an_exception_cuts_short_is_none():
    monitor = Flops(device(), Timed(samples=1.0))
    trained(monitor, steps=1)
    monitor.on_train_batch_start(None, None, BATCH, 1)
    monitor.on_exception(None, None, RuntimeError())
    assert not monitor.readings()
    # The mode is left: what runs now is not counted.
    torch.ones(2, 2) @ torch.ones(2, 2)
    assert not monitor._counter.flops


def test_what_counting_took_is_our_own_time(monkeypatch):
    ticks = iter([0, 1, 1, 6, 6, 7, 7, 9, 9, 10.5])  # steps of 1, 5, 1, 2 and 1.5 s
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("hwlit.callbacks.flops.time", clock)
    monitor = trained(Flops(device(), Timed()), steps=5)
    monitor.on_train_end(None, None)
    assert monitor.own_time == 5 - 1.5


def test_counting_changes_no_bit_of_a_training(tiny_fit, tmp_path, monkeypatch):
    losses = []
    for name, counted in (("with", COUNTED), ("without", -1)):
        monkeypatch.setattr("hwlit.callbacks.flops.COUNTED", counted)
        more = ["--trainer.log_every_n_steps", "1", "--output", str(tmp_path / name)]
        assert main([*tiny_fit, *more]) == 0
        losses.append((tmp_path / name / "metrics.csv").read_text())
        absent = json.loads((tmp_path / name / "record.json").read_text())["absent"]
        assert ("fit/model_flops" in absent) == (name == "without")
    assert losses[0] == losses[1]
