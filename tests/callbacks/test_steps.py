from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from hwlit.callbacks.steps import Steps
from hwlit.devices.selection import device_for


def batch(rows, width, real):
    mask = torch.zeros(rows, width, dtype=torch.long)
    mask.view(-1)[:real] = 1
    return {"row_id": torch.arange(rows), "attention_mask": mask}


@pytest.fixture
def steps(clock):
    """Two slow warm-up steps, then three of 20 ms."""
    monitor = Steps(device_for(torch.device("cpu")), warmup_steps=2)
    sizes = [(4, 10, 40), (4, 10, 40), (4, 10, 20), (2, 5, 10), (4, 10, 40)]
    for index, size in enumerate(sizes):
        monitor.on_train_batch_start(None, None, None, index)
        clock.sleep(0.2 if index < 2 else 0.02)
        monitor.on_train_batch_end(None, None, None, batch(*size), index)
    return monitor


def test_warm_up_steps_are_dropped_and_said(steps):
    found = steps.readings()
    assert found["fit/step_time"].value == pytest.approx(0.02)
    assert found["fit/step_time"].n == 3
    assert "first 2 of 5 steps dropped" in found["fit/step_time"].how.text
    assert len(steps.details()["step_times"]) == 5


def test_throughput_counts_rows_real_tokens_and_slots(steps):
    found = steps.readings()
    busy = sum(steps.details()["step_times"][2:])
    assert found["fit/samples_per_second"].value == pytest.approx(10 / busy, rel=1e-3)
    assert found["fit/tokens_per_second"].value == pytest.approx(70 / busy, rel=1e-3)
    assert found["fit/token_slots_per_second"].value == pytest.approx(90 / busy, rel=1e-3)
    assert found["fit/padding_share"].value == pytest.approx(2 / 9)


def test_its_own_cost_is_known_and_small(steps):
    assert 0 < steps.own_time < 0.05 * sum(steps.details()["step_times"])


def test_no_steps_is_absent_with_a_reason():
    monitor = Steps(device_for(torch.device("cpu")), warmup_steps=2)
    assert monitor.readings() == {}
    assert monitor.absent()["fit/step_time"] == "nothing was trained"


@pytest.mark.parametrize(
    ("stage", "step", "told"),
    [
        (TrainerFn.FITTING, 26, "nothing was trained since the run was resumed at step 26"),
        (TrainerFn.TESTING, 26, "nothing was trained"),
    ],
)
def test_a_run_resumed_after_its_training_says_so(stage, step, told):
    monitor = Steps(device_for(torch.device("cpu")), warmup_steps=2)
    trainer = SimpleNamespace(state=SimpleNamespace(fn=stage))
    monitor.on_load_checkpoint(trainer, None, {"global_step": step})
    assert monitor.absent()["fit/step_time"] == told


def test_a_step_cut_short_is_left_out(steps):
    steps.on_train_batch_start(None, None, None, 5)
    assert len(steps.details()["step_times"]) == 5


def test_throughput_is_that_of_all_processes_in_the_time_of_the_first(steps):
    alone = steps.readings()
    steps.join([(10, 70, 110), (4, 20, 40)])
    together = steps.readings()
    for name, rows, own in (("samples", 24, 10), ("tokens", 160, 70), ("token_slots", 240, 90)):
        name = f"fit/{name}_per_second"
        assert together[name].value == pytest.approx(alone[name].value * rows / own)
    assert together["fit/sample_time"].value == pytest.approx(
        alone["fit/sample_time"].value * 10 / 24
    )
    assert together["fit/padding_share"].value == pytest.approx(1 - 160 / 240)
    assert together["fit/step_time"] == alone["fit/step_time"]
    assert "all 3 processes" in together["fit/samples_per_second"].how.text


def test_a_process_shares_what_it_served_after_the_warm_up(steps):
    assert steps.share() == (10, 70, 90)
    assert Steps(device_for(torch.device("cpu")), warmup_steps=2).share() == (0, 0, 0)
