"""The card's snippet, pasted: it runs, and draws what the run's network draws."""

import re

import numpy as np
import pytest
import yaml
from PIL import Image

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.exports.diffusers_lora import write_diffusers_lora
from hwlit.exports.model_card import image_model_card
from hwlit.exports.pipeline_folder import write_pipeline_folder
from tests.drawing import drawn, learnable, loaded, moved

PROMPT = 'a photo of "sks" dog'


def record(hub_id, adapter):
    return {
        "model": {"hub_id": hub_id},
        "adapter": adapter.describe(),
        "data": {"instance_prompt": PROMPT, "rows": {"train": 5}},
        "readings": {
            "test/clip_i": {"value": 0.9, "low": 0.85, "high": 0.95},
            "test/memorising": {"value": 0.7},
        },
        "encoders": {"clip": {"checkpoint": "some/clip"}},
        "versions": {"hwlit": "0.1"},
        "seed": 3,
    }


def snippet(card):
    return re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]


@pytest.mark.parametrize("adapter", [Lora(rank=2, targets=("unet.*.to_q",)), Full()], ids=str)
def test_the_snippet_draws(adapter, tiny_pipelines, tmp_path, monkeypatch):
    pipeline, lora = loaded(tiny_pipelines["sd"]), isinstance(adapter, Lora)
    network = learnable(pipeline, "unet")
    adapter.attach(network)
    moved(network, 0.2 if lora else 0.02)
    if lora:
        config, state = adapter.peft_config(network), adapter.peft_state(network)
        write_diffusers_lora(tmp_path, config, state)
    else:
        write_pipeline_folder(tmp_path, pipeline, adapter.state(network), "some/base")
    card = image_model_card(record(tiny_pipelines["sd"], adapter), lora, 2, 3.0)
    monkeypatch.chdir(tmp_path)
    exec(snippet(card), {})
    with Image.open("picture.png") as picture:
        found = np.asarray(picture, dtype=float)
    assert np.abs(found - 255 * drawn(pipeline, PROMPT)).max() <= 1


def test_pocket_sd_is_found_where_hwlit_is_installed():
    code = snippet(image_model_card(record("pocket-sd", Lora()), True, 2, 3.0))
    expression = re.search(r"from_pretrained\((.*), dtype", code)[1]
    imports = "\n".join(line for line in code.splitlines() if "importlib" in line)
    names = {}
    exec(f"{imports}\nfound = {expression}", names)
    assert names["found"].endswith("hwlit/assets/pocket-sd")


def test_a_card_says_what_was_learned_and_how_well():
    card = image_model_card(record("some/base", Lora()), True, 2, 3.0)
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "some/base"
    assert front["library_name"] == "diffusers"
    assert front["instance_prompt"] == PROMPT
    assert "| test/clip_i | 0.9000 | 0.850 - 0.950 |" in card
    assert "| test/memorising | 0.7000 |  |" in card
    assert "CLIP some/clip" in card
