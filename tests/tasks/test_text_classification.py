from types import SimpleNamespace

import pytest
import torch

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.errors import DivergedError, IntegrityError, UsageError
from hwlit.tasks.seeding import seed_of, seeded
from hwlit.tasks.text_classification import TextClassification, classification_metrics


def build(pretrained, adapter=None, **settings):
    task = TextClassification(adapter=adapter or Lora(rank=2), pretrained=pretrained, **settings)
    task.configure_model()
    return task


def test_building_depends_on_the_seed_and_on_nothing_before(tiny_models):
    torch.manual_seed(1)
    one = build(tiny_models["bert"], seed=5).learned_state()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    two = build(tiny_models["bert"], seed=5).learned_state()
    other = build(tiny_models["bert"], seed=6).learned_state()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_building_twice_changes_nothing(tiny_models):
    task = build(tiny_models["bert"])
    network = task.network
    task.configure_model()
    assert task.network is network


def test_a_checkpoint_with_other_names_is_refused(tiny_models):
    checkpoint = {"state_dict": {}}
    build(tiny_models["bert"]).on_save_checkpoint(checkpoint)
    other = build(tiny_models["bert"], Lora(rank=2, targets=("*.query",)))
    with pytest.raises(IntegrityError, match=r"does not fit.*lora"):
        other.on_load_checkpoint(checkpoint)


def test_a_checkpoint_holds_what_was_learned_alone(tiny_models):
    checkpoint = {"state_dict": {}}
    task = build(tiny_models["bert"])
    task.on_save_checkpoint(checkpoint)
    learning = {f"network.{n}" for n, p in task.network.named_parameters() if p.requires_grad}
    assert set(checkpoint["state_dict"]) == learning


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused(value, tiny_models):
    task = TextClassification(adapter=Full(), pretrained=tiny_models["bert"])
    with pytest.raises(DivergedError, match="nothing was updated"):
        task.finite(torch.tensor(value))


@pytest.mark.parametrize("settings", [{"labels": ("one",)}, {"warmup": 1.0}, {"warmup": -0.1}])
def test_settings_out_of_range_are_refused(settings, tiny_models):
    with pytest.raises(UsageError, match=next(iter(settings)).rstrip("s")):
        TextClassification(adapter=Full(), pretrained=tiny_models["bert"], **settings)


def test_seeds_differ_by_position_and_repeat():
    seeds = {
        seed_of(s, e, b, r) for s in range(3) for e in range(3) for b in range(9) for r in (0, 1)
    }
    assert len(seeds) == 3 * 3 * 9 * 2
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3)
    with seeded(0, "a"):
        one = torch.rand(3)
    with seeded(0, "a"):
        assert torch.equal(torch.rand(3), one)


def test_accuracy_is_micro_and_f1_is_macro():
    metrics = classification_metrics(3)
    metrics.update(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    found = metrics.compute()
    assert float(found["accuracy"]) == 0.75
    # class 0: precision 1, recall 3/4; class 1: never right; class 2 neither occurs nor is guessed
    assert float(found["f1_macro"]) == pytest.approx((6 / 7 + 0) / 2)
    assert "f1_positive" not in found
    assert "f1_positive" in classification_metrics(2)


def test_biases_and_norms_are_not_decayed(tiny_models, monkeypatch):
    task = build(tiny_models["bert"], Full(learning_rate=3e-4))
    monkeypatch.setattr(
        type(task),
        "trainer",
        property(lambda self: type("T", (), {"estimated_stepping_batches": 10})),
    )
    optimizer = task.configure_optimizers()["optimizer"]
    decayed, free = optimizer.param_groups
    assert {p.ndim for p in free["params"]} == {1}
    assert min(p.ndim for p in decayed["params"]) == 2
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    assert decayed["initial_lr"] == free["initial_lr"] == 3e-4
    assert decayed["fused"] is free["fused"] is True


def test_weighted_by_rows_the_mean_over_processes_is_that_over_rows():
    task, losses = TextClassification(adapter=Full()), torch.tensor([1.0, 2.0, 6.0])
    shares = [losses[:2], losses[2:]]
    totals = torch.stack([losses.sum(), torch.tensor(3.0)])
    strategy = SimpleNamespace(reduce=lambda own, reduce_op: totals)
    task._trainer = SimpleNamespace(world_size=2, strategy=strategy)
    found = [task.over_processes(share.mean(), torch.tensor(float(len(share)))) for share in shares]
    assert float(sum(loss for loss, _ in found)) / 2 == pytest.approx(3.0)
    assert [float(mean) for _, mean in found] == [3.0, 3.0]
    assert float(sum(share.mean() for share in shares)) / 2 != 3.0


def test_the_weighted_loss_is_that_of_torch(tiny_models, monkeypatch):
    task = TextClassification(adapter=Full(), pretrained=tiny_models["bert"])
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels, classes = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([1.0, 0.25, 3.5])
    logged = {}
    monkeypatch.setattr(task, "forward", lambda batch: logits)
    monkeypatch.setattr(task, "log", lambda name, value, **_: logged.update({name: float(value)}))
    batch = {"labels": labels}
    plain = task.training_step(batch, 0)
    weighted = task.training_step(batch | {"weight": classes[labels]}, 1)
    cross_entropy = torch.nn.functional.cross_entropy
    assert float(plain) == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-6)
    wanted = float(cross_entropy(logits, labels, weight=classes))
    assert float(weighted) == logged["train/loss"] == pytest.approx(wanted, rel=1e-6)
    assert float(weighted) != pytest.approx(float(plain), rel=0.01)


def test_weights_count_over_all_processes(tiny_models, monkeypatch):
    task = TextClassification(adapter=Full(), pretrained=tiny_models["bert"])
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels, classes = torch.tensor([0, 2, 1, 1, 0]), torch.tensor([1.0, 0.25, 3.5])
    weight, summed = classes[labels], []
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    totals = torch.stack([(weight * losses).sum(), weight.sum()])
    strategy = SimpleNamespace(reduce=lambda own, reduce_op: summed.append(own) or totals)
    task._trainer = SimpleNamespace(world_size=2, strategy=strategy)
    monkeypatch.setattr(task, "forward", lambda batch: logits[batch["rows"]])
    monkeypatch.setattr(task, "log", lambda *given, **_: None)
    batches = [
        {"rows": rows, "labels": labels[rows], "weight": weight[rows]}
        for rows in (torch.tensor([0, 1, 2]), torch.tensor([3, 4]))
    ]
    mean = sum(task.training_step(batch, 0) for batch in batches) / 2  # as gradients are averaged
    assert torch.allclose(sum(summed), totals)
    wanted = torch.nn.functional.cross_entropy(logits, labels, weight=classes)
    assert float(mean) == pytest.approx(float(wanted), rel=1e-6)


def test_a_checkpoint_of_other_classes_is_refused(tiny_models):
    checkpoint = {"state_dict": {}}
    task = build(tiny_models["bert"], labels=("a", "b"))
    task.on_save_checkpoint(checkpoint)
    task.on_load_checkpoint(checkpoint)
    other = build(tiny_models["bert"], labels=("b", "a"))
    with pytest.raises(
        IntegrityError, match=r"the classes \['a', 'b'\], the data has \['b', 'a'\]"
    ):
        other.on_load_checkpoint(checkpoint)
