"""LoRA files: what is drawn after stock diffusers has read them."""

import json
from itertools import product

import numpy as np
import pytest
from peft import AdaLoraConfig, LoHaConfig, LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hwlit.adapters.lora import Lora
from hwlit.adapters.peft import Peft
from hwlit.errors import UsageError
from hwlit.exports.diffusers_lora import WEIGHTS, is_lora, write_diffusers_lora
from tests.drawing import drawn, learnable, loaded, moved

ATTENTION = ("unet.*.to_[qkv]", "unet.*.to_out.0")


def exported(pipeline, adapter, parts, folder):
    """The picture of a pipeline whose parts were moved, after writing what was learned."""
    network = learnable(pipeline, *parts)
    adapter.attach(network)
    network.eval()
    moved(network)
    write_diffusers_lora(folder, adapter.peft_config(network), adapter.peft_state(network))
    return drawn(pipeline)


@pytest.mark.parametrize("switches", [*product([False, True], repeat=3)], ids=str)
def test_every_variant_draws_the_same_after_the_stock_loader(switches, tiny_pipelines, tmp_path):
    variant = dict(zip(("dora", "rslora", "pissa"), switches, strict=True))
    adapter = Lora(rank=4, alpha=6, dropout=0.1, targets=ATTENTION, **variant)
    live = exported(loaded(tiny_pipelines["sd"]), adapter, ["unet"], tmp_path)
    pipeline = loaded(tiny_pipelines["sd"])
    base = drawn(pipeline)
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4
    assert np.abs(base - live).max() > 1e-2


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
@pytest.mark.parametrize(
    "targets",
    [
        ("*.q_proj", "*.k_proj", "*.v_proj", "*.out_proj"),
        ("*.fc1",),
        ("*.q_proj", "*.fc[12]"),
        ("*.q_proj", "*.v_proj"),
    ],
    ids=str,
)
def test_text_encoders_travel_in_the_same_file(kind, targets, tiny_pipelines, tmp_path):
    parts = [
        name
        for name in loaded(tiny_pipelines[kind]).components
        if name in ("text_encoder", "text_encoder_2")
    ]
    adapter = Lora(rank=2, alpha=6, targets=(*ATTENTION, *targets))
    live = exported(loaded(tiny_pipelines[kind]), adapter, ["unet", *parts], tmp_path)
    pipeline = loaded(tiny_pipelines[kind])
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4
    for part in parts:
        keys = [key for key in load_file(tmp_path / WEIGHTS) if key.startswith(f"{part}.")]
        assert keys
        assert all(key.startswith(f"{part}.text_model.encoder.layers.") for key in keys)


def test_the_projection_lies_beside_the_text_model(tiny_pipelines, tmp_path):
    adapter = Lora(rank=2, targets=("text_encoder_2.*.q_proj", "text_encoder_2.text_projection"))
    live = exported(loaded(tiny_pipelines["sdxl"]), adapter, ["text_encoder_2"], tmp_path)
    pipeline = loaded(tiny_pipelines["sdxl"])
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4
    name = "text_encoder_2.text_projection.lora_linear_layer.up.weight"
    assert name in load_file(tmp_path / WEIGHTS)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_the_lengths_of_dora_reach_the_text_encoders(kind, tiny_pipelines, tmp_path):
    parts = [name for name in loaded(tiny_pipelines[kind]).components if "text_encoder" in name]
    adapter = Lora(rank=2, alpha=2, targets=("*.q_proj", "*.fc1"), dora=True)
    live = exported(loaded(tiny_pipelines[kind]), adapter, parts, tmp_path)
    pipeline = loaded(tiny_pipelines[kind])
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4


def test_convolutions_travel_too(tiny_pipelines, tmp_path):
    adapter = Lora(rank=2, targets=("unet.*.conv1", "unet.conv_in", "unet.*.to_q"))
    live = exported(loaded(tiny_pipelines["sd"]), adapter, ["unet"], tmp_path)
    pipeline = loaded(tiny_pipelines["sd"])
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4


def test_strength_goes_from_the_base_to_what_was_learned(tiny_pipelines, tmp_path):
    live = exported(
        loaded(tiny_pipelines["sd"]), Lora(rank=4, targets=ATTENTION), ["unet"], tmp_path
    )
    pipeline = loaded(tiny_pipelines["sd"])
    base = drawn(pipeline)
    pipeline.load_lora_weights(tmp_path, adapter_name="own")
    for strength, wanted in ((0.0, base), (1.0, live)):
        pipeline.set_adapters(["own"], [strength])
        assert np.abs(drawn(pipeline) - wanted).max() < 1e-4


def test_every_loader_finds_the_strength(tiny_pipelines, tmp_path):
    """One that reads the tensors alone takes alpha = rank, and so does who reads the header."""
    network = learnable(loaded(tiny_pipelines["sd"]), "unet")
    adapter = Lora(rank=4, alpha=6, targets=ATTENTION, rslora=True)
    adapter.attach(network)
    config, state = adapter.peft_config(network), adapter.peft_state(network)
    write_diffusers_lora(tmp_path, config, state, {"base_model": "some/base"})
    with safe_open(tmp_path / WEIGHTS, "pt") as file:
        header = file.metadata()
    settings = json.loads(header["lora_adapter_metadata"])
    assert header["base_model"] == "some/base"
    assert (settings["unet.r"], settings["unet.lora_alpha"]) == (4, 4)
    assert not any(name.startswith("unet.") for name in settings["unet.target_modules"])
    # An older PEFT refuses the names of settings that it does not know.
    assert {name.removeprefix("unet.") for name in settings} == {
        "r",
        "lora_alpha",
        "target_modules",
    }


@pytest.mark.filterwarnings("ignore:.lora_bias")
@pytest.mark.parametrize("told", [True, False], ids=["header", "tensors"])
@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 6},
        {"lora_alpha": 6, "use_rslora": True},
        {"lora_alpha": 6, "use_dora": True},
        {"lora_alpha": 3, "lora_bias": True},
        {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"attn1.to_k": 9}, "use_rslora": True},
    ],
    ids=str,
)
def test_the_update_is_the_same_with_and_without_the_header(
    settings, told, tiny_pipelines, tmp_path
):
    adapter = Peft(
        config=LoraConfig(r=4, **settings),
        targets=("unet.*.to_[qk]", "unet.*.conv1", "text_encoder.*.q_proj"),
    )
    parts = ["unet", "text_encoder"]
    live = exported(loaded(tiny_pipelines["sd"]), adapter, parts, tmp_path)
    if not told:
        save_file(load_file(tmp_path / WEIGHTS), tmp_path / WEIGHTS, {"format": "pt"})
    pipeline = loaded(tiny_pipelines["sd"])
    pipeline.load_lora_weights(tmp_path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4


def test_adalora_is_no_lora():
    assert is_lora(LoraConfig())
    assert not is_lora(AdaLoraConfig(total_step=9))


def test_what_diffusers_could_not_read_is_refused(tiny_pipelines, tmp_path):
    with pytest.raises(UsageError, match="LoHaConfig has no file that diffusers reads"):
        write_diffusers_lora(tmp_path, LoHaConfig(), {})
    network = learnable(loaded(tiny_pipelines["sd"]), "vae")
    adapter = Lora(rank=2, targets=("vae.*.to_q",))
    adapter.attach(network)
    with pytest.raises(UsageError, match="and not vae"):
        write_diffusers_lora(tmp_path, adapter.peft_config(network), adapter.peft_state(network))
    assert not list(tmp_path.iterdir())
