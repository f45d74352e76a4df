from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from hwlit.callbacks.curves import Curves, reliability_picture, thinned
from hwlit.callbacks.predictions import Predictions
from hwlit.metrics.probabilities import calibration_error, reliability


@pytest.fixture
def curves():
    return Curves(Predictions(("no", "yes")))


def shown(monitor):
    return {one.name: one for one in monitor.details()["exhibits"]}


def test_every_rate_is_kept_and_logged_with_the_steps_that_are(curves):
    logged = []
    module = SimpleNamespace(log=lambda name, value: logged.append((name, value)))
    for step in range(20):
        trainer = SimpleNamespace(global_step=step, log_every_n_steps=10)
        optimizer = SimpleNamespace(param_groups=[{"lr": step / 10}, {"lr": 9.0}])
        curves.on_before_optimizer_step(trainer, module, optimizer)
    assert logged == [("train/learning_rate", 0.9), ("train/learning_rate", 1.9)]
    curve = shown(curves)["learning_rate"].columns
    assert curve == {"step": list(range(20)), "rate": [step / 10 for step in range(20)]}
    assert curves.own_time > 0


def test_validation_is_kept_by_epoch_and_not_from_the_sanity_check(curves):
    for epoch, sanity in ((0, True), (0, False), (1, False)):
        curves.on_validation_end(
            SimpleNamespace(
                sanity_checking=sanity, current_epoch=epoch, global_step=5 * (epoch + 1),
                callback_metrics={"val/loss": torch.tensor(1.0 - epoch), "train/loss": 3.0},
            ),
            None,
        )  # fmt: skip
    (shown,) = curves.details()["exhibits"]
    assert (shown.name, shown.kind) == ("validation", "curve")
    assert shown.columns == {"step": [5, 10], "epoch": [0, 1], "val/loss": [1.0, 0.0]}
    assert next(iter(shown.columns)) == "step"


def test_the_test_rows_give_reliability_and_precision_over_recall():
    predictions = Predictions(("no", "yes"))
    predictions.targets = torch.tensor([0, 1, 1])
    predictions.logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    found = shown(Curves(predictions))
    columns = (found["reliability"].columns[n] for n in ("count", "accuracy", "confidence"))
    error = sum(n * abs(right - sure) for n, right, sure in zip(*columns, strict=True)) / 3
    bins = reliability(predictions.shares, predictions.targets)
    assert error == pytest.approx(calibration_error(bins))
    curve = found["precision_recall"]
    assert curve.facts == {"label": "yes", "average_precision": 1.0}
    assert curve.columns["recall"] == [0.5, 1.0]
    width, height = reliability_picture(bins).get_size_inches()
    assert width == height


def test_nothing_known_is_no_curve(curves):
    assert curves.details() == {}


@pytest.mark.parametrize("count", [1, 99, 100, 101, 12345])
def test_thinning_keeps_the_ends(count):
    points = thinned(range(count), 100)
    assert len(points) == min(count, 100)
    assert (points[0], points[-1]) == (0, count - 1)
    assert points == sorted(set(points))


def test_a_resumed_run_has_whole_curves():
    first, second = (Curves(Predictions(("no", "yes"))) for _ in range(2))
    checkpoint = {}
    for step in range(6):
        if step == 4:
            first.on_save_checkpoint(None, None, checkpoint)
            state = SimpleNamespace(fn=TrainerFn.FITTING)
            second.on_load_checkpoint(SimpleNamespace(state=state), None, checkpoint)
        trainer = SimpleNamespace(global_step=step, log_every_n_steps=10)
        optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
        (first if step < 4 else second).on_before_optimizer_step(trainer, None, optimizer)
    curve = shown(second)["learning_rate"].columns
    assert curve == {"step": list(range(6)), "rate": [0.1] * 6}
    testing = SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.TESTING))
    second.on_load_checkpoint(testing, None, checkpoint)
    assert shown(second)["learning_rate"].columns == curve


def test_a_long_run_keeps_few_rates(curves):
    for step in range(5000):
        trainer = SimpleNamespace(global_step=step, log_every_n_steps=0)
        optimizer = SimpleNamespace(param_groups=[{"lr": float(step)}])
        curves.on_before_optimizer_step(trainer, None, optimizer)
    curves.on_save_checkpoint(None, None, checkpoint := {})
    assert len(checkpoint["curves"]["rates"]) <= 1000
    curve = shown(curves)["learning_rate"].columns
    assert curve["rate"] == curve["step"]
    assert len(curve["step"]) == 100
    assert max(b - a for a, b in zip(curve["step"], curve["step"][1:], strict=False)) < 60
