"""Whole pipelines on disk."""

import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from hwlit.adapters.bitfit import BitFit
from hwlit.adapters.full import Full
from hwlit.errors import ResourceError
from hwlit.exports.pipeline_folder import pipeline_size, write_pipeline_folder
from tests.drawing import drawn, learnable, loaded, moved

Usage = namedtuple("Usage", "total used free")


def exported(adapter, pretrained, folder, parts=("unet",)):
    pipeline = loaded(pretrained)
    network = learnable(pipeline, *parts)
    adapter.attach(network)
    moved(network, by=0.02)
    files = write_pipeline_folder(folder, pipeline, adapter.state(network), "some/base")
    return drawn(pipeline), files, network


def test_a_tuned_pipeline_reloads_in_stock_diffusers(tiny_pipelines, tmp_path):
    live, files, _ = exported(Full(), tiny_pipelines["sd"], tmp_path)
    found = drawn(loaded(tmp_path))
    assert np.array_equal(found, live)
    assert np.abs(drawn(loaded(tiny_pipelines["sd"])) - live).max() > 1e-2
    assert files == (tmp_path / "unet" / "diffusion_pytorch_model.safetensors",)


def test_each_part_that_learned_is_named(tiny_pipelines, tmp_path):
    _, files, _ = exported(Full(), tiny_pipelines["sd"], tmp_path, ("unet", "text_encoder"))
    assert [file.parent.name for file in files] == ["text_encoder", "unet"]


def test_what_learned_alone_lies_beside_the_whole(tiny_pipelines, tmp_path):
    _, (file,), network = exported(BitFit(), tiny_pipelines["sd"], tmp_path)
    found = load_file(file)
    assert set(found) == {n for n, p in network.named_parameters() if p.requires_grad}
    assert all(torch.equal(network.get_parameter(n), t) for n, t in found.items())


def test_no_path_of_this_machine_is_written(tiny_pipelines, tmp_path):
    pipeline = loaded(tiny_pipelines["sd"])
    write_pipeline_folder(tmp_path / "own", pipeline, {}, "some/base")
    texts = [path.read_text() for path in (tmp_path / "own").rglob("*.json")]
    assert not any(tiny_pipelines["sd"] in text for text in texts)
    assert sum('"_name_or_path": "some/base"' in text for text in texts) == 3


def test_a_folder_of_this_machine_has_no_name(tiny_pipelines, tmp_path):
    write_pipeline_folder(tmp_path / "own", loaded(tiny_pipelines["sd"]), {}, None)
    texts = [path.read_text() for path in (tmp_path / "own").rglob("*.json")]
    assert not any("_name_or_path" in text for text in texts)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_the_text_encoders_have_the_names_that_transformers_4_reads(kind, tiny_pipelines, tmp_path):
    live, *_ = exported(Full(), tiny_pipelines[kind], tmp_path, ("text_encoder",))
    for path in tmp_path.glob("text_encoder*/*.safetensors"):
        names = set(load_file(path)) - {"text_projection.weight"}
        assert names
        assert all(name.startswith("text_model.") for name in names)
        assert sum(name.startswith("text_model.text_model.") for name in names) == 0
    assert np.array_equal(drawn(loaded(tmp_path)), live)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_vocabulary_and_merges_alone_give_the_same_ids(kind, tiny_pipelines, tmp_path):
    pipeline = loaded(tiny_pipelines[kind])
    pipeline.tokenizer.add_tokens(["<new1>"])
    write_pipeline_folder(tmp_path, pipeline, {}, None)
    prompts = ["photo of <new1> dog", "a red circle, on the beach!", "Mug ktn sks 12 o'clock"]
    for part in sorted(tmp_path.glob("tokenizer*")):
        whole = CLIPTokenizer.from_pretrained(part)
        (part / "tokenizer.json").unlink()
        older = CLIPTokenizer.from_pretrained(part)
        if part.name == "tokenizer":
            assert whole.convert_tokens_to_ids("<new1>") == len(older)  # transformers 4 has it from
            older.add_tokens(["<new1>"])  # tokenizer.json, the one thing that it takes from there
        assert [older(p).input_ids for p in prompts] == [whole(p).input_ids for p in prompts]
        assert older.pad_token == whole.pad_token


def test_a_disk_without_room_is_told_before_anything_is_written(
    tiny_pipelines, tmp_path, monkeypatch
):
    pipeline = loaded(tiny_pipelines["sd"])
    size = pipeline_size(pipeline)
    assert size > 4 * sum(p.numel() for p in pipeline.unet.parameters())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, size))
    with pytest.raises(ResourceError, match=r"needs 0\.0\d GiB.*has 0\.00 GiB left"):
        write_pipeline_folder(tmp_path / "new", pipeline, {}, "some/base")
    assert not list((tmp_path / "new").iterdir())
