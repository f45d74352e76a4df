"""The card's snippet, pasted: it runs, and draws what the run's network draws."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from PIL import Image

from hwlit.adapters.chain import Chain
from hwlit.adapters.concept_token import ConceptToken
from hwlit.adapters.cross_attention_kv import CrossAttentionKV
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.exports.diffusers_lora import write_diffusers_lora
from hwlit.exports.model_card import image_model_card, text_model_card
from hwlit.exports.pipeline_folder import write_pipeline_folder
from hwlit.networks.diffusion import load_diffusion
from hwlit.records import record_of
from hwlit.tasks.image_export import write_export
from tests.drawing import drawn, learnable, loaded, moved

PROMPT = 'a photo of "sks" dog'


def record(hub_id, adapter, words=None, **data):
    how = {"unit": "1", "how": {"tag": "measured", "text": ""}}
    facts = {
        "schema": 2,
        "status": "ok",
        "model": {"hub_id": hub_id, "labels": [hub_id or "a", "b"]},
        "adapter": adapter.describe() | ({"words": words} if words else {}),
        "data": {"instance_prompt": PROMPT, "rows": {"train": 5}} | data,
        "readings": {
            "test/clip_i": {"value": 0.9, "low": 0.85, "high": 0.95} | how,
            "test/memorising": {"value": 0.7} | how,
        },
        "absent": {},
        "encoders": {"clip": {"checkpoint": "some/clip"}},
        "versions": {"hwlit": "0.1"},
        "seed": 3,
    }
    return record_of(facts, Path("record.json"))


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


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_the_snippet_of_the_method_s_own_files_draws(kind, tiny_pipelines, tmp_path, monkeypatch):
    words = {"token": ConceptToken(tokens={"<new1>": "dog"})}
    adapter = Chain(adapters={"kv": CrossAttentionKV(), **words})
    network = load_diffusion(tiny_pipelines[kind], torch.float32, train_text_encoder=True)
    adapter.attach(network)
    moved(network.eval(), 0.2)
    given = adapter.state(network), tiny_pipelines[kind], torch.float32, torch.device("cpu")
    write_export(tmp_path, adapter, network, *given)
    told = record(tiny_pipelines[kind], adapter, instance_prompt="photo of <new1>")
    card = image_model_card(told, False, 2, 3.0, adapter.files(network))
    whole, files = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    pictures = []
    for code in (whole, files):
        exec(code, {})
        with Image.open("picture.png") as picture:
            pictures.append(np.asarray(picture, dtype=float))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert "load_textual_inversion" in files
    assert "load_textual_inversion" not in whole
    assert "`learned_embeds.safetensors` is `%3Cnew1%3E.safetensors` by the usual name" in card


@pytest.mark.parametrize(
    ("lora", "files", "prior", "tags"),
    [
        (True, [], 0, ["lora"]),
        (True, [], 9, ["lora", "dreambooth"]),
        (False, ["spectral_shifts.safetensors"], 9, ["dreambooth"]),
        (False, ["<a>.safetensors", "learned_embeds.safetensors"], 0, ["textual_inversion"]),
        (False, ["x.bin", "<a>.safetensors"], 9, ["custom-diffusion"]),
    ],
)
def test_a_card_is_tagged_as_what_was_trained(lora, files, prior, tags):
    told = record("some/base", Lora(), class_images={"pictures": prior} if prior else None)
    card = image_model_card(told, lora, 2, 3.0, dict.fromkeys(files, ()))
    front = yaml.safe_load(card.split("---")[1])
    assert front["tags"] == ["hwlit", "text-to-image", "diffusers", *tags]
    assert ("hwlit export RUN --lora" in card) == (files == ["spectral_shifts.safetensors"])


def test_a_prompt_of_any_letters_is_the_same_in_the_code():
    prompt = 'a photo of sks \U0001f436 "dog" {x} \u00fc\n```'
    facts = record("some/base", Lora(), instance_prompt=prompt)
    code = ast.parse(snippet(image_model_card(facts, True, 2, 3.0)))
    said = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)}
    assert prompt in said


def test_pocket_sd_is_found_where_hwlit_is_installed():
    code = snippet(image_model_card(record("pocket-sd", Lora()), True, 2, 3.0))
    expression = re.search(r"from_pretrained\((.*)\)\n", code)[1]
    imports = "\n".join(line for line in code.splitlines() if "importlib" in line)
    names = {}
    exec(f"{imports}\nfound = {expression}", names)
    assert names["found"].endswith("hwlit/assets/pocket-sd")


@pytest.mark.parametrize(
    ("hub_id", "pretrained", "told"),
    [
        ("org/base", "org/base", "org/base"),
        ("pipes/sdxl", "/home/me/pipes/sdxl", None),  # given as a path from where it was run
        ("/home/me/sdxl", "/home/me/sdxl", None),
        ("sdxl", r"C:\\Users\\me\\sdxl", None),
        ("pocket-sd", "pocket-sd", None),
    ],
)
def test_only_an_id_of_the_hub_is_a_base_model(hub_id, pretrained, told):
    facts = record(hub_id, Lora(), majority_class_accuracy=1, source=["a"])
    facts = replace(facts, model=replace(facts.model, pretrained=pretrained))
    facts.data.rest["rows"]["test"] = 1
    for card in (
        image_model_card(facts, True, 2, 3.0),
        text_model_card(facts, {"adapter_config.json"}),
    ):
        assert yaml.safe_load(card.split("---")[1]).get("base_model") == told


def test_a_card_says_what_was_learned_and_how_well():
    card = image_model_card(record("some/base", Lora()), True, 2, 3.0)
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "some/base"
    assert front["library_name"] == "diffusers"
    assert front["instance_prompt"] == PROMPT
    assert "| test/clip_i | 0.9000 | 0.850 - 0.950 |" in card
    assert "| test/memorising | 0.7000 |  |" in card
    assert "CLIP some/clip" in card


EVIL = "<img src=x onerror=alert(1)> [a](http://b) `c`\n---\n# d | e"


def parts(card):
    """The kinds of what a card shows, and its head as data."""
    _, head, text = re.split(r"^---$", card, maxsplit=2, flags=re.MULTILINE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    found = [t for token in tokens for t in (token, *(token.children or ()))]
    return {t.type for t in found}, [t.content for t in found], yaml.safe_load(head)


def test_no_label_is_markup_in_a_card():
    data = {"source": [EVIL], "rows": {"train": 1, "test": 1}, "majority_class_accuracy": 1}
    facts = record(EVIL, Lora(rank=2), **data)
    kinds, _, head = parts(text_model_card(facts, {"adapter_config.json"}))
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "hr"}
    assert head["base_model"] == EVIL


def test_no_prompt_and_no_word_is_markup_or_code_in_a_card():
    adapter = Lora(rank=2, targets=("unet.*.to_q",))
    facts = record("base", adapter, words=EVIL, instance_prompt=EVIL)
    files = {f'"); {word}.safetensors': ["w"] for word in (EVIL, "a")}
    card = image_model_card(facts, False, 2, 3.0, files)
    kinds, told, head = parts(card)
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "hr"}
    assert "\n" not in head["instance_prompt"]
    for code in (text for text in told if "import torch" in text):
        assert "alert" not in "".join(
            n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name)
        )
