import copy

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.untuned import Untuned
from hwlit.errors import DivergedError, UsageError
from hwlit.networks.diffusion import load_encoders
from hwlit.tasks.denoising import min_snr_weights
from hwlit.tasks.personalization import Personalization
from tests.pipelines import KINDS, SIDE

ATTENTION = ("unet.*.to_[qkv]", "unet.*.to_out.0")
PROMPTS = ["photo of sks dog", "photo of dog"]


def build(pretrained, adapter=None, **settings):
    adapter = adapter or Lora(rank=2, alpha=2, targets=ATTENTION)
    task = Personalization(adapter=adapter, pretrained=pretrained, **settings)
    task.configure_model()
    return task


def quiet_log(task, monkeypatch):
    logged = {}
    monkeypatch.setattr(task, "log", lambda name, value, **_: logged.update({name: float(value)}))
    return logged


def a_batch(pretrained, prior=True, cached=True):
    """Two rows of the concept and, with a prior, two of the class."""
    rows = 4 if prior else 2
    encoders = load_encoders(pretrained, torch.float32, "cpu")
    pixels = torch.rand(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    of_row = [0, 0, 1, 1][:rows]
    batch = {"prior": torch.tensor(of_row, dtype=torch.bool), "row_id": torch.arange(rows)}
    batch["time_ids"] = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * rows, dtype=torch.float32)
    if not cached:
        return batch | {"pixels": pixels, **ids_of(encoders, [PROMPTS[i] for i in of_row])}
    said = encoders.encode_prompts([PROMPTS[i] for i in of_row])
    mean, deviation = encoders.encode_images(pixels)
    batch |= {"latent_mean": mean, "latent_std": deviation, "prompt_embeds": said.embeds}
    return batch if said.pooled is None else batch | {"pooled": said.pooled}


def ids_of(encoders, prompts):
    given = {"padding": "max_length", "max_length": 77, "return_tensors": "pt"}
    ids = [tokenizer(prompts, **given).input_ids for tokenizer in encoders.tokenizers]
    return dict(zip(("input_ids", "input_ids_2"), ids, strict=False))


@pytest.mark.parametrize("kind", KINDS)
def test_cached_or_not_the_loss_is_the_same(kind, tiny_pipelines, monkeypatch):
    task = build(tiny_pipelines[kind], min_snr_gamma=5.0)
    logged = quiet_log(task, monkeypatch)
    losses = []
    for cached in (True, False):
        torch.manual_seed(7)
        task.training_step(a_batch(tiny_pipelines[kind], cached=cached), 0)
        losses.append(logged["train/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.manual_seed(8)
    task.training_step(a_batch(tiny_pipelines[kind]), 0)
    assert logged["train/loss"] != pytest.approx(losses[0], rel=1e-3)


def test_the_parts_that_are_read_stay_out_of_the_network(tiny_pipelines, monkeypatch):
    task = build(tiny_pipelines["sd"])
    quiet_log(task, monkeypatch)
    before = [name for name, _ in task.named_parameters()]
    task.training_step(a_batch(tiny_pipelines["sd"], cached=False), 0)
    task.train()
    assert [name for name, _ in task.named_parameters()] == before
    assert not task.encoders.vae.training
    assert not task.encoders.text_encoders[0].training


def test_the_prior_loss_adds_to_that_of_the_concept_alone(tiny_pipelines, monkeypatch):
    task = build(tiny_pipelines["sd"], prior_weight=0.5, min_snr_gamma=1.0)
    logged = quiet_log(task, monkeypatch)
    timesteps = torch.tensor([1, 400, 1, 400])
    monkeypatch.setattr(torch, "randint", lambda *given, **named: timesteps)
    losses = torch.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True)
    monkeypatch.setattr(task, "_losses", lambda *given: losses)
    loss = task.training_step(a_batch(tiny_pipelines["sd"]), 0)
    weights = min_snr_weights("epsilon", task._alphas[timesteps[:2]], 1.0)
    assert float(weights[0]) < 0.01
    assert logged["train/prior_loss"] == 6.0
    wanted = float((weights * losses[:2]).mean().detach()) + 0.5 * 6.0
    assert float(loss.detach()) == logged["train/loss"] == pytest.approx(wanted)


def test_a_loss_that_is_not_finite_is_the_base_s_before_anything_was_learned(
    tiny_pipelines, monkeypatch
):
    task = build(tiny_pipelines["sd"])
    quiet_log(task, monkeypatch)
    with torch.no_grad():
        task.network.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(UsageError, match="the loss is nan before anything was learned: the pretr"):
        task.training_step(a_batch(tiny_pipelines["sd"]), 0)
    monkeypatch.setattr(Personalization, "global_step", 1)
    with pytest.raises(DivergedError, match="the loss became nan at step 1"):
        task.training_step(a_batch(tiny_pipelines["sd"]), 0)


def test_validation_depends_on_the_row_alone(tiny_pipelines, monkeypatch):
    batch = a_batch(tiny_pipelines["sd"], prior=False)
    found = []
    for seed, order in ((1, [0, 1]), (2, [1, 0])):
        task = build(tiny_pipelines["sd"], Untuned(), seed=seed)
        logged = quiet_log(task, monkeypatch)
        torch.manual_seed(seed)
        rows = {name: values[order] for name, values in batch.items()}
        rows["level"] = torch.tensor([0.1, 0.9])[order]
        with torch.no_grad():
            task.validation_step(rows, 0)
        task.on_validation_epoch_end()
        found.append(logged["val/loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_text_encoders_learn_only_where_asked(kind, tiny_pipelines, monkeypatch):
    targets = (*ATTENTION, "text_encoder*.q_proj")
    adapter = Lora(rank=2, alpha=2, targets=targets)
    task = build(tiny_pipelines[kind], adapter, train_text_encoder=True)
    quiet_log(task, monkeypatch)
    batch = a_batch(tiny_pipelines[kind], cached=False)
    task.training_step(batch, 0).backward()
    learned = {n for n, p in task.network.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("text_encoder.") for name in learned)
    assert any(name.startswith("text_encoder_2.") for name in learned) == (kind == "sdxl")
    assert any(name.startswith("unet.") for name in learned)


def test_a_text_encoder_that_nothing_reaches_is_refused(tiny_pipelines):
    with pytest.raises(UsageError, match="lets nothing in text_encoder learn; add targets"):
        build(tiny_pipelines["sd"], train_text_encoder=True)
    build(tiny_pipelines["sd"], Untuned(), train_text_encoder=True)


@pytest.mark.parametrize(
    "settings", [{}, {"gradient_checkpointing": True}, {"channels_last": True}]
)
def test_flags_of_speed_change_no_loss_and_no_gradient(settings, tiny_pipelines, monkeypatch):
    found = []
    for given in ({}, settings):
        adapter = Full(learning_rate=1e-4)
        task = build(tiny_pipelines["sd"], adapter, train_text_encoder=True, **given)
        quiet_log(task, monkeypatch)
        torch.manual_seed(3)
        loss = task.training_step(a_batch(tiny_pipelines["sd"], cached=False), 0)
        loss.backward()
        gradient = task.network.text_encoder.get_parameter(
            next(n for n, _ in task.network.text_encoder.named_parameters() if "q_proj.weight" in n)
        ).grad
        found.append((float(loss.detach()), gradient))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-7)
    unet = task.network.unet
    assert unet.is_gradient_checkpointing == ("gradient_checkpointing" in settings)
    last = unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert last == ("channels_last" in settings)


def trainer(**settings):
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_test_rows_are_drawn_with_the_network_as_it_is(precision, tiny_pipelines, monkeypatch):
    task = build(tiny_pipelines["sd"], sampling_steps=2, guidance=2.0)
    seen = []
    step = Personalization.test_step
    monkeypatch.setattr(
        Personalization, "test_step", lambda *given: seen.append(step(*given)) or seen[-1]
    )
    batches = [
        {"row_id": torch.tensor([0, 1]), "prompt": ["photo of dog", "red circle"],
         "seed": torch.tensor([0, 1])},
        {"row_id": torch.tensor([2]), "prompt": ["photo of dog"], "seed": torch.tensor([0])},
    ]  # fmt: skip
    batches = DataLoader(batches, batch_size=None)
    trainer(precision=precision).test(task, batches, verbose=False)
    assert [tuple(one["pictures"].shape) for one in seen] == [
        (2, SIDE, SIDE, 3),
        (1, SIDE, SIDE, 3),
    ]
    assert seen[0]["pictures"].dtype == torch.uint8
    first, again = seen[0]["pictures"][0].int(), seen[1]["pictures"][0].int()
    assert (first - again).abs().max() <= 1
    assert task._pipeline is None
    with torch.no_grad():
        for name, parameter in task.network.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    trainer(precision=precision).test(task, batches, verbose=False)
    assert (seen[-1]["pictures"][0].int() - again).abs().max() > 1


def test_a_checkpoint_round_trip_draws_the_same(tiny_pipelines):
    one, two = build(tiny_pipelines["sd"]), build(tiny_pipelines["sd"], seed=9)
    with torch.no_grad():
        for parameter in one.network.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    checkpoint = {}
    LightningModule.on_save_checkpoint(one, checkpoint)
    one.on_save_checkpoint(checkpoint)
    two.on_load_checkpoint(checkpoint)
    two.load_state_dict(checkpoint["state_dict"], strict=False)
    batch = a_batch(tiny_pipelines["sd"])
    timesteps = torch.tensor([3, 30, 300, 900])
    with torch.no_grad():
        predictions = [task(batch, batch["latent_mean"], timesteps) for task in (one, two)]
    assert torch.equal(*predictions)


def test_merged_the_network_predicts_as_before(tiny_pipelines):
    task = build(tiny_pipelines["sdxl"])
    with torch.no_grad():
        for parameter in task.network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    variants = task.variants().networks
    assert list(variants) == ["base", "unmerged", "merged"]
    batch, timesteps = a_batch(tiny_pipelines["sdxl"]), torch.tensor([3, 30, 300, 900])
    with torch.no_grad():
        found = {
            name: task.predictions(network.eval(), batch, batch["latent_mean"], timesteps)
            for name, network in variants.items()
        }
    torch.testing.assert_close(found["merged"], found["unmerged"], rtol=1e-4, atol=1e-4)
    assert (found["base"] - found["unmerged"]).abs().max() > 1e-2


def test_facts_are_plain(tiny_pipelines):
    task = build(tiny_pipelines["sd_v"])
    facts = task.model_facts()
    assert facts["prediction_type"] == "v_prediction"
    assert facts["dtype"] == "float32"
    assert set(facts["parameters"]) == {"unet", "vae", "text_encoder"}
    assert all("to_" in site for site in task.adapter_facts()["sites"])
    assert copy.deepcopy(facts) == facts


@pytest.mark.parametrize(
    "settings", [{"prior_weight": -1.0}, {"min_snr_gamma": 0.0}, {"sampling_steps": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        Personalization(adapter=Full(), **settings)


def test_only_training_steps_are_compiled(tiny_pipelines, monkeypatch):
    compiled, ran, plain_compile = [], [], torch.compile

    def traced(graph, inputs):  # a back end that compiles nothing, but counts
        compiled.append(graph)
        return lambda *given: (ran.append(graph), graph.forward(*given))[1]

    monkeypatch.setattr(torch, "compile", lambda f: plain_compile(f, backend=traced))
    losses = []
    for compile in (False, True):
        task = build(tiny_pipelines["sd"], compile=compile)
        quiet_log(task, monkeypatch)
        batch = a_batch(tiny_pipelines["sd"])
        torch.manual_seed(3)
        losses.append(float(task.training_step(batch, 0).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert compiled
    steps = len(ran)
    assert steps > 0
    task.eval()
    task.validation_step(batch | {"level": torch.full((4,), 0.5)}, 0)
    assert len(ran) == steps
    assert task.model_facts()["compiled"]
