"""LoRA files: what is drawn after stock diffusers has read them."""

import json
from itertools import product

import numpy as np
import pytest
from peft import LoHaConfig
from safetensors import safe_open
from safetensors.torch import load_file

from hwlit.adapters.lora import Lora
from hwlit.errors import UsageError
from hwlit.exports.diffusers_lora import WEIGHTS, write_diffusers_lora
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
    [("*.q_proj", "*.k_proj", "*.v_proj", "*.out_proj"), ("*.fc1",), ("*.q_proj", "*.fc[12]")],
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


def test_the_header_holds_alpha_and_facts(tiny_pipelines, tmp_path):
    network = learnable(loaded(tiny_pipelines["sd"]), "unet")
    adapter = Lora(rank=4, alpha=6, targets=ATTENTION)
    adapter.attach(network)
    config, state = adapter.peft_config(network), adapter.peft_state(network)
    write_diffusers_lora(tmp_path, config, state, {"base_model": "some/base"})
    with safe_open(tmp_path / WEIGHTS, "pt") as file:
        header = file.metadata()
    settings = json.loads(header["lora_adapter_metadata"])
    assert header["base_model"] == "some/base"
    assert (settings["unet.r"], settings["unet.lora_alpha"]) == (4, 6)
    assert not any(name.startswith("unet.") for name in settings["unet.target_modules"])
    # An older PEFT refuses the names of settings that it does not know.
    assert {name.removeprefix("unet.") for name in settings} == {
        "r",
        "lora_alpha",
        "target_modules",
    }


def test_what_diffusers_could_not_read_is_refused(tiny_pipelines, tmp_path):
    with pytest.raises(UsageError, match="LoHaConfig has no file that diffusers reads"):
        write_diffusers_lora(tmp_path, LoHaConfig(), {})
    network = learnable(loaded(tiny_pipelines["sd"]), "vae")
    adapter = Lora(rank=2, targets=("vae.*.to_q",))
    adapter.attach(network)
    with pytest.raises(UsageError, match="and not vae"):
        write_diffusers_lora(tmp_path, adapter.peft_config(network), adapter.peft_state(network))
    assert not list(tmp_path.iterdir())
