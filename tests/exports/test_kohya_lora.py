"""LoRA files in kohya's naming: what diffusers draws after reading them, and what they tell."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hwlit import kohya_export
from hwlit.__main__ import main
from hwlit.adapters.lora import Lora
from hwlit.exports import redraw, stock_pipeline
from hwlit.exports.diffusers_lora import write_diffusers_lora
from hwlit.kohya_export import header
from hwlit.networks.pipelines import pipeline_facts
from hwlit.records import record_of, write_record
from tests.drawing import drawn, learnable, loaded, moved

UNET = ("unet.*.to_[qkv]", "unet.*.to_out.0")
ATTENTION = (*UNET, "text_encoder*.out_proj", "text_encoder*.fc1")


@pytest.fixture
def here(monkeypatch):
    """Read back in this process, which takes less time than a fresh one."""
    monkeypatch.setattr(redraw, "_run", lambda job, *others: stock_pipeline.draw(**job))


def written(pretrained, adapter, run, **data):
    """Write what a run of LoRA leaves; return the picture of its network."""
    pipeline = loaded(pretrained)
    parts = ("unet", "text_encoder", "text_encoder_2")
    network = learnable(pipeline, *(part for part in parts if part in pipeline.components))
    adapter.attach(network)
    moved(network.eval())
    state = adapter.peft_state(network)
    write_diffusers_lora(run / "adapter", adapter.peft_config(network), state)
    record = {"schema": 2, "status": "ok", "readings": {}, "absent": {}, "data": data}
    record |= {"model": pipeline_facts(pretrained) | {"dtype": "float32"}}
    record |= {"task": "personalization", "adapter": adapter.describe()}
    write_record(record_of(record, run / "record.json"), run / "record.json")
    return drawn(pipeline)


def export(run, path):
    return main(["export", str(run), "--kohya", str(path)])


@pytest.mark.parametrize(
    ("kind", "adapter"),
    [
        ("sd", Lora(rank=4, alpha=6, rslora=True, targets=ATTENTION)),
        ("sdxl", Lora(rank=4, alpha=6, pissa=True, targets=ATTENTION)),
        ("sd", Lora(rank=2, targets=(*UNET, "text_encoder*.[qv]_proj"))),
        ("sdxl", Lora(rank=2, targets=("text_encoder*.[qv]_proj",))),
        ("sd", Lora(rank=2, targets=("text_encoder*.k_proj", "text_encoder*.fc2"))),
        ("sd", Lora(rank=2, targets=("unet.*.conv1", "unet.conv_in", "unet.conv_out"))),
        ("sdxl", Lora(rank=2, targets=("unet.*",))),
    ],
    ids=str,
)
@pytest.mark.usefixtures("here")
def test_diffusers_draws_the_same_from_a_kohya_file(kind, adapter, tiny_pipelines, tmp_path):
    live = written(tiny_pipelines[kind], adapter, tmp_path)
    path = tmp_path / "own" / "kohya.safetensors"
    assert export(tmp_path, path) == 0
    pipeline = loaded(tiny_pipelines[kind])
    pipeline.load_lora_weights(path)
    assert np.abs(drawn(pipeline) - live).max() < 1e-4
    alphas = {n: t for n, t in load_file(path).items() if n.endswith(".alpha")}
    rank = 8 if adapter.pissa else adapter.rank
    assert set(map(float, alphas.values())) == {rank}


@pytest.mark.usefixtures("here")
def test_the_files_of_earlier_runs_have_alpha_in_the_header(tiny_pipelines, tmp_path):
    """Which is not in the tensors of theirs."""
    adapter = Lora(rank=4, alpha=4, targets=ATTENTION)
    live = written(tiny_pipelines["sd"], adapter, tmp_path)
    path = tmp_path / "adapter" / "pytorch_lora_weights.safetensors"
    with safe_open(path, "pt") as file:
        told = json.loads(file.metadata()["lora_adapter_metadata"])
    told |= {f"{part}.lora_alpha": 16 for part in ("unet", "text_encoder")}
    quarter = {n: t / 4 if "lora_B" in n or ".up." in n else t for n, t in load_file(path).items()}
    save_file(quarter, path, {"format": "pt", "lora_adapter_metadata": json.dumps(told)})
    assert export(tmp_path, tmp_path / "kohya.safetensors") == 0
    pipeline = loaded(tiny_pipelines["sd"])
    pipeline.load_lora_weights(tmp_path / "kohya.safetensors")
    assert np.abs(drawn(pipeline) - live).max() < 1e-4


@pytest.mark.usefixtures("here")
def test_the_header_tells_the_base_and_the_words(tiny_pipelines, tmp_path):
    data = {"instance_prompt": "a photo of a sks mug", "identifier": "sks", "resolution": 32}
    data["rows"] = {"train": 5}
    adapter = Lora(rank=4, alpha=6, targets=(*UNET, "unet.conv_in"))
    written(tiny_pipelines["sdxl"], adapter, tmp_path, **data)
    assert export(tmp_path, tmp_path / "my mug.safetensors") == 0
    with safe_open(tmp_path / "my mug.safetensors", "pt") as file:
        told = file.metadata()
    assert told["ss_base_model_version"] == "sdxl_base_v1-0"
    assert told["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert told["modelspec.title"] == told["ss_output_name"] == "my mug"
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("4", "4.0")
    assert json.loads(told["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "4.0"}
    assert told["modelspec.trigger_phrase"] == "sks"
    assert json.loads(told["ss_tag_frequency"]) == {"sks": {"a photo of a sks mug": 5}}
    assert told["modelspec.resolution"] == "32x32"
    assert str(tmp_path.parent) not in " ".join(told.values())
    assert "ss_sd_model_name" not in told  # a folder of this machine


@pytest.mark.parametrize(("kind", "prefix"), [("sdxl", "lora_te1_"), ("sd", "lora_te_")])
@pytest.mark.usefixtures("here")
def test_the_base_decides_what_the_first_text_encoder_is_called(
    kind, prefix, tiny_pipelines, tmp_path
):
    adapter = Lora(rank=2, targets=("unet.*.to_q", "text_encoder.*.[qv]_proj"))
    written(tiny_pipelines[kind], adapter, tmp_path)
    assert export(tmp_path, tmp_path / "own.safetensors") == 0
    found = {n.partition("text_model")[0] for n in load_file(tmp_path / "own.safetensors")}
    assert {name for name in found if name.startswith("lora_te")} == {prefix}


@pytest.mark.parametrize(
    ("model", "version", "architecture"),
    [
        ({"parameters": {"text_encoder": 123_060_480}}, "sd_v1", "stable-diffusion-v1"),
        ({"parameters": {"text_encoder": 340_387_840}}, "sd_v2", "stable-diffusion-v2-512"),
        (
            {"parameters": {"text_encoder": 340_387_840}, "prediction_type": "v_prediction"},
            "sd_v2_v",
            "stable-diffusion-v2-768-v",
        ),
        (
            {"parameters": {"text_encoder": 123_060_480}, "prediction_type": "v_prediction"},
            "sd_v1_v",
            "stable-diffusion-v1",
        ),
        ({}, "sd_v1", "stable-diffusion-v1"),
        (
            {"architecture": "StableDiffusionXLPipeline"},
            "sdxl_base_v1-0",
            "stable-diffusion-xl-v1-base",
        ),
    ],
)
def test_the_base_version_is_kohya_s_word(model, version, architecture, tmp_path):
    facts = {"schema": 2, "status": "ok", "readings": {}, "absent": {}}
    facts["model"] = {"hub_id": "some/base", "pretrained": "some/base"} | model
    told = header(record_of(facts, tmp_path / "record.json"), tmp_path / "x.safetensors")
    assert told["ss_base_model_version"] == version
    assert told["modelspec.architecture"] == f"{architecture}/lora"
    assert told["ss_sd_model_name"] == "some/base"


@pytest.mark.usefixtures("here")
def test_what_older_loaders_pass_over_is_said(tiny_pipelines, tmp_path, capsys):
    written(tiny_pipelines["sd"], Lora(rank=2, targets=("unet.conv_in", "unet.*.to_q")), tmp_path)
    assert export(tmp_path, tmp_path / "own.safetensors") == 0
    assert "0.33 and earlier pass over conv_in of the unet" in capsys.readouterr().out


def test_a_file_that_draws_another_picture_is_not_written(
    tiny_pipelines, tmp_path, monkeypatch, capsys
):
    written(tiny_pipelines["sd"], Lora(rank=2, targets=UNET), tmp_path)

    def halved(source, target, facts):
        write_kohya_lora(source, target, facts)
        save_file({n: t / 2 for n, t in load_file(target).items()}, target, facts)
        return target

    write_kohya_lora = kohya_export.write_kohya_lora
    monkeypatch.setattr(kohya_export, "write_kohya_lora", halved)
    path = tmp_path / "own.safetensors"
    assert export(tmp_path, path) == 5  # in a fresh process
    told = capsys.readouterr().err
    assert "own.safetensors was not written" in told
    assert "draws other pictures than the run" in told
    assert not path.exists()


def test_without_its_base_a_file_is_written_and_said_not_to_be_read_back(
    tiny_pipelines, tmp_path, capsys
):
    base = tmp_path / "base"
    shutil.copytree(tiny_pipelines["sd"], base)
    written(str(base), Lora(rank=2, targets=UNET), tmp_path / "run")
    shutil.rmtree(base)
    assert export(tmp_path / "run", tmp_path / "own.safetensors") == 0
    told = capsys.readouterr().out
    assert "own.safetensors was not read back, for its base is not there" in told
    assert (tmp_path / "own.safetensors").is_file()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"targets": UNET, "dora": True}, "train without dora"),
        ({"targets": ("text_encoder_2.text_projection",)}, "text_encoder_2.text_projection was"),
        ({"targets": ("text_encoder.*token_embedding",)}, "to no linear layer and no convolution"),
    ],
)
def test_what_cannot_be_written_is_refused(settings, told, tiny_pipelines, tmp_path, capsys):
    written(tiny_pipelines["sdxl"], Lora(rank=2, **settings), tmp_path)
    path = tmp_path / "own.safetensors"
    assert export(tmp_path, path) == 2
    assert told in capsys.readouterr().err
    assert not path.exists()
    path.touch()
    assert export(tmp_path, path) == 2
    assert "must be a new file" in capsys.readouterr().err


def test_runs_of_other_methods_are_refused(tiny_pipelines, tmp_path, capsys):
    written(tiny_pipelines["sd"], Lora(rank=2, targets=UNET), tmp_path)
    (tmp_path / "adapter" / "pytorch_lora_weights.safetensors").unlink()
    assert export(tmp_path, tmp_path / "own.safetensors") == 2
    assert "holds no readable pytorch_lora_weights.safetensors" in capsys.readouterr().err
    options = ["--merged", str(tmp_path / "x"), "--device", "cuda"]
    assert main(["export", str(tmp_path), *options]) == 2
    assert "--device goes with --kohya" in capsys.readouterr().err
