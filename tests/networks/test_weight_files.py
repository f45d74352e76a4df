"""Pipelines whose weights lie under the names of a variant, or in the old format."""

import json
import shutil

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from hwlit.errors import IntegrityError, UsageError
from hwlit.exports import stock_pipeline
from hwlit.networks import pipelines
from hwlit.networks.diffusion import load_part
from hwlit.networks.pipelines import find_pipeline, pipeline_facts, pipeline_folder, variant_of
from hwlit.networks.weight_files import common_variant, variants_of

WEIGHTS = ("unet", "vae", "text_encoder")


@pytest.fixture
def own(tiny_pipelines, tmp_path):
    shutil.copytree(tiny_pipelines["sd"], tmp_path / "own")
    return tmp_path / "own"


def renamed(folder, variant, parts=WEIGHTS, keep=False):
    """Give the weights of parts the names of a variant, as save_pretrained(variant=...) does."""
    for part in parts:
        (file,) = (folder / part).glob("*.safetensors")
        new = file.with_name(f"{file.stem}.{variant}.safetensors")
        (shutil.copy if keep else shutil.move)(file, new)


def test_a_variant_alone_is_read_and_recorded(own, tiny_pipelines):
    before = {part: load_part(str(own), part, torch.float32) for part in WEIGHTS}
    digest = pipeline_facts(str(own))["sha256"]
    renamed(own, "fp16")
    for part, wanted in before.items():
        found = load_part(str(own), part, torch.float32).state_dict()
        assert all(torch.equal(found[name], w) for name, w in wanted.state_dict().items())
    facts = pipeline_facts(str(own))
    assert (facts["variant"], facts["sha256"]) == ("fp16", digest)
    assert "variant" not in pipeline_facts(tiny_pipelines["sd"])


def test_parts_without_the_variant_are_read_from_their_plain_files(own):
    renamed(own, "fp16", ("unet",))
    assert variant_of(str(own)) == "fp16"
    for part in WEIGHTS:
        load_part(str(own), part, torch.float32)


def test_where_one_part_needs_the_variant_all_that_have_it_are_read_by_it(own):
    """As one call of diffusers reads them."""
    renamed(own, "fp16", ("unet",))
    renamed(own, "fp16", ("vae",), keep=True)
    path = own / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    save_file({n: t + 1 for n, t in load_file(path).items()}, path, {"format": "pt"})
    stock = diffusers.DiffusionPipeline.from_pretrained(own, variant="fp16")
    ours = load_part(str(own), "vae", torch.float32).state_dict()
    assert all(torch.equal(ours[n], t) for n, t in stock.vae.state_dict().items())


def test_plain_files_come_first(own):
    renamed(own, "fp16", keep=True)
    assert variant_of(str(own)) is None


def test_variants_that_no_call_reads_together_are_refused(own):
    renamed(own, "fp16", ("unet",))
    renamed(own, "bf16", ("vae",))
    with pytest.raises(UsageError, match=r"holds its unet as a variant that other .* \(fp16\)"):
        find_pipeline(str(own))


def test_names_of_variants_and_their_indexes(tmp_path):
    folder = tmp_path / "unet"
    assert variants_of(folder) == ()
    folder.mkdir()
    for name in (
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
        "diffusion_pytorch_model.non_ema.safetensors",
        "diffusion_pytorch_model.bin",
        "own.safetensors",
        "config.json",
    ):
        (folder / name).touch()
    assert variants_of(folder) == ("fp16", "non_ema")
    assert common_variant([folder]) == ("fp16", ())
    (folder / "diffusion_pytorch_model.safetensors.index.json").touch()
    assert variants_of(folder)[0] is None
    assert common_variant([folder]) == (None, [])


def test_a_list_of_a_variant_names_no_file_elsewhere(own):
    renamed(own, "fp16", ("unet",))
    path = own / "unet" / "diffusion_pytorch_model.safetensors.index.fp16.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"x": "../../x.safetensors"}}))
    with pytest.raises(IntegrityError, match=r"is no \.safetensors beside it"):
        find_pipeline(str(own))


def test_a_shard_list_of_a_variant_is_read(own):
    folder = own / "unet"
    wanted = load_part(str(own), "unet", torch.float32)
    shutil.rmtree(folder)
    wanted.save_pretrained(folder, variant="fp16", max_shard_size="100KB")
    assert (folder / "diffusion_pytorch_model.safetensors.index.fp16.json").is_file()
    found = load_part(str(own), "unet", torch.float32).state_dict()
    assert all(torch.equal(found[n], t) for n, t in wanted.state_dict().items())


def test_the_old_format_is_not_read_but_told_how_to_convert(own):
    (own / "unet" / "diffusion_pytorch_model.safetensors").rename(
        own / "unet" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(UsageError) as told:
        find_pipeline(str(own))
    assert "lacks its unet (no weights unet/*.safetensors)" in str(told.value)
    assert f'P.from_pretrained("{own}", use_safetensors=False)' in str(told.value)
    assert str(told.value).endswith(f"--model.pretrained {own}-safetensors")


def test_a_stranger_s_process_reads_the_variant_too(own):
    renamed(own, "bf16", ("unet", "text_encoder"))
    pipeline = stock_pipeline._pretrained(str(own), use_safetensors=True, safety_checker=None)
    assert pipeline.unet is not None
    shutil.rmtree(own / "unet")
    with pytest.raises(OSError, match="Error no file named"):
        stock_pipeline._pretrained(str(own), use_safetensors=True, safety_checker=None)


def test_a_hub_pipeline_of_a_variant_alone_is_fetched(own, monkeypatch):
    renamed(own, "fp16")
    asked = []

    def download(location, variant, **given):
        asked.append(variant)
        if variant is None:
            raise OSError("Could not find the necessary `safetensors` weights in {...}")
        return str(own)

    monkeypatch.setattr(pipelines, "hf_hub_download", lambda location, file: str(own / file))
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    pipelines._fetched.cache_clear()
    assert pipeline_folder("some/half") == own
    assert asked == [None, "fp16"]
    pipelines._fetched.cache_clear()


def test_a_hub_pipeline_of_pickles_is_one_sentence(own, monkeypatch):
    def download(location, variant, **given):
        raise OSError("Could not find the necessary `safetensors` weights in {...}")

    monkeypatch.setattr(pipelines, "hf_hub_download", lambda location, file: str(own / file))
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    pipelines._fetched.cache_clear()
    with pytest.raises(UsageError, match="its weights are pickles, which can hold code"):
        pipeline_folder("some/pickles")
    pipelines._fetched.cache_clear()
