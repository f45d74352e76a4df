import json
import shutil

import diffusers
import pytest

from hwlit.errors import UsageError
from hwlit.networks import pipelines
from hwlit.networks.pipelines import (
    find_pipeline,
    load_noise_schedule,
    picture_sizes,
    pipeline_facts,
    pipeline_folder,
)
from hwlit.networks.tokenizers import load_tokenizers
from tests.pipelines import KINDS, SIDE


@pytest.fixture
def own(tiny_pipelines, tmp_path):
    shutil.copytree(tiny_pipelines["sdxl"], tmp_path / "own")
    return tmp_path / "own"


PARTS = ["unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"]


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(own, part):
    shutil.rmtree(own / part)
    with pytest.raises(UsageError, match=rf"lacks its {part} \(no (weights|files) {part}/") as told:
        find_pipeline(str(own))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("part", ["tokenizer", "tokenizer_2"])
def test_a_tokenizer_without_a_vocabulary_is_refused(own, part):
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (own / part / name).unlink(missing_ok=True)
    assert list((own / part).glob("*.json"))  # its config is no vocabulary
    told = rf"no files {part}/tokenizer\.json, nor {part}/vocab\.json with {part}/merges\.txt"
    with pytest.raises(UsageError, match=told):
        find_pipeline(str(own))


def test_a_vocabulary_with_merges_is_a_tokenizer(own):
    before = [tokenizer("photo of sks dog").input_ids for tokenizer in load_tokenizers(str(own))]
    (own / "tokenizer" / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(own / "vocabulary" / name, own / "tokenizer")
    found = [tokenizer("photo of sks dog").input_ids for tokenizer in load_tokenizers(str(own))]
    assert found == before
    (own / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(UsageError, match="lacks its tokenizer"):
        find_pipeline(str(own))


def test_a_tokenizer_of_another_text_encoder_is_refused(own):
    path = own / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 100}))
    with pytest.raises(UsageError, match=r"tokenizer has \d+ words, but its text encoder 100;"):
        load_tokenizers(str(own))


def test_a_damaged_tokenizer_is_one_sentence(own):
    (own / "tokenizer_2" / "tokenizer.json").write_text("{")
    with pytest.raises(
        UsageError, match=r"tokenizer_2/.* is not a valid JSON file .*; fetch"
    ) as told:
        load_tokenizers(str(own))
    assert "\n" not in str(told.value)


def test_a_part_that_the_index_leaves_out_is_named(own):
    index = json.loads((own / "model_index.json").read_text())
    index["vae"] = [None, None]
    (own / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="lacks its vae"):
        find_pipeline(str(own))


def test_parts_of_another_class_are_refused(own):
    index = json.loads((own / "model_index.json").read_text())
    index["vae"] = ["diffusers", "AutoencoderTiny"]
    (own / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="is a AutoencoderTiny; hwlit takes a AutoencoderKL"):
        find_pipeline(str(own))


def test_other_kinds_of_pipelines_are_refused(own):
    index = json.loads((own / "model_index.json").read_text())
    index["_class_name"] = "FluxPipeline"
    (own / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="holds a FluxPipeline; give one of the classes Stable"):
        find_pipeline(str(own))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "is empty"),
        ("/no/such/place", "does not exist"),
        ("./missing", "does not exist"),
        (__file__, "is a file"),
        ("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5 or Comp"),
        ("stabilityai/stable-diffusion-2-1", "--model.pretrained sd2-community/stable-diff"),
    ],
)
def test_what_is_no_pipeline_is_refused(name, told):
    with pytest.raises(UsageError, match=told):
        find_pipeline(name)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no readable model_index\.json"):
        find_pipeline(str(tmp_path))


def test_a_hub_id_is_taken_as_it_is():
    assert find_pipeline("some/pipeline").location == "some/pipeline"


def test_offline_a_hub_id_is_one_sentence():
    with pytest.raises(
        UsageError, match=r"'nobody/nothing' cannot be loaded .*without a net"
    ) as told:
        pipeline_folder("nobody/nothing")
    assert "\n" not in str(told.value)


def test_a_fetched_pipeline_is_checked_too(own, monkeypatch):
    def download(location, **given):
        assert given["use_safetensors"] is True
        assert given["trust_remote_code"] is False
        return own

    monkeypatch.setattr(pipelines, "hf_hub_download", lambda location, file: str(own / file))
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    pipelines._fetched.cache_clear()
    assert pipeline_folder("some/whole") == own
    shutil.rmtree(own / "vae")
    with pytest.raises(UsageError, match="lacks its vae"):
        pipeline_folder("some/broken")
    pipelines._fetched.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_a_pipeline(kind, tiny_pipelines):
    facts = pipeline_facts(tiny_pipelines[kind])
    stock = diffusers.DiffusionPipeline.from_pretrained(tiny_pipelines[kind])
    parts = {
        n: part
        for n, part in stock.components.items()
        if isinstance(part, diffusers.ModelMixin) or n.startswith("text")
    }
    counts = {n: sum(p.numel() for p in part.parameters()) for n, part in parts.items() if part}
    assert facts["parameters"] == counts
    assert facts["architecture"] == type(stock).__name__
    assert facts["prediction_type"] == ("v_prediction" if kind == "sd_v" else "epsilon")
    assert facts["revision"] is None
    assert picture_sizes(tiny_pipelines[kind]) == (SIDE, 8)
    json.dumps(facts)


def test_the_hash_changes_with_the_weights(own, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(own, other)
    path = other / "text_encoder_2" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert pipeline_facts(str(own))["sha256"] != pipeline_facts(str(other))["sha256"]


def test_other_predictions_are_refused(own):
    path = own / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text()) | {"prediction_type": "sample"}
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match="predicts 'sample'; give a pipeline that predicts"):
        load_noise_schedule(str(own))


@pytest.mark.parametrize("content", ["{", "[]", '{"beta_schedule": "none"}', '{"beta_end": "x"}'])
def test_a_damaged_scheduler_is_one_sentence(content, own):
    (own / "scheduler" / "scheduler_config.json").write_text(content)
    told = r"scheduler_config\.json (cannot be loaded \(.+\)|is no.+); fetch (it|the model) again"
    with pytest.raises(UsageError, match=told) as found:
        load_noise_schedule(str(own))
    assert "\n" not in str(found.value)
    (own / "scheduler" / "scheduler_config.json").rename(own / "scheduler" / "config.json")
    with pytest.raises(UsageError, match=r"no files scheduler/scheduler_config\.json"):
        find_pipeline(str(own))
