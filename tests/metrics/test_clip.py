"""Features of a CLIP made from a config; what does not load says why."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from hwlit.errors import IntegrityError, UsageError
from hwlit.metrics.clip import Clip
from tests.drawing import save_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


def noise(seed, size=(40, 24)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_features_are_those_of_the_stock_model(folder):
    pictures, texts = [noise(seed) for seed in range(3)], ["a dog", "a red ball"]
    model = CLIPModel.from_pretrained(folder)
    pixels = CLIPImageProcessorPil.from_pretrained(folder)(pictures, return_tensors="pt")
    words = CLIPTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        stock = model(**pixels, **words)
    clip = Clip(str(folder))
    assert torch.allclose(clip.images(pictures), stock.image_embeds, atol=1e-6)
    assert torch.allclose(clip.texts(texts), stock.text_embeds, atol=1e-6)
    assert torch.allclose(clip.images(pictures).norm(dim=1), torch.ones(3))


def test_features_have_the_length_that_the_network_gives_them(folder):
    clip, pictures = Clip(str(folder)), [noise(i) for i in range(3)]
    found = clip.features(picture for picture in pictures)
    assert torch.equal(torch.nn.functional.normalize(found, dim=-1), clip.images(pictures))
    assert not torch.allclose(found.norm(dim=-1), torch.ones(3), rtol=0.01)


def test_batches_change_nothing(folder, monkeypatch):
    pictures, texts = [noise(seed) for seed in range(5)], ["a", "a dog", "red", "", "a ball"]
    clip = Clip(str(folder))
    together = clip.images(pictures), clip.texts(texts)
    monkeypatch.setattr("hwlit.metrics.encoders.BATCH", 2)
    for whole, parts in zip(together, (clip.images(pictures), clip.texts(texts)), strict=True):
        assert torch.allclose(whole, parts, atol=1e-6)


def test_grey_and_transparent_pictures_are_read(folder):
    assert Clip(str(folder)).images([noise(0).convert("L"), noise(1).convert("RGBA")]).shape[0] == 2


def test_a_text_that_is_too_long_is_cut_and_told(folder):
    clip = Clip(str(folder))
    fits, long = "z" * 75, "z" * 76  # tokens beside start and end, of which CLIP reads 77
    assert clip.too_long([fits, long]) == [long]
    assert clip.texts([long, fits]).shape[0] == 2


def test_it_says_what_it_is(folder, tmp_path):
    facts = Clip(str(folder)).facts()
    assert (facts["checkpoint"], facts["architecture"]) == (str(folder), "CLIPModel")
    assert facts["sha256"] == Clip(str(folder)).facts()["sha256"]
    tensors = load_file(folder / "model.safetensors")
    tensors["logit_scale"] += 1e-3
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    assert Clip(str(tmp_path)).facts()["sha256"] != facts["sha256"]


def spoil_type(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))


def spoil_names(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [
        (spoil_type, UsageError, "is a 'bert' network, and not one of clip"),
        (spoil_names, UsageError, "lack 1 tensors, such as visual_projection.weight"),
        (lambda f: (f / "model.safetensors").unlink(), UsageError, "model.safetensors"),
        (lambda f: (f / "config.json").unlink(), UsageError, "cannot be loaded"),
        (lambda f: (f / "preprocessor_config.json").unlink(), UsageError, "cannot be loaded"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"damaged!"),
            IntegrityError,
            "is damaged",
        ),
    ],
    ids=["type", "names", "weights", "config", "preprocessor", "damaged"],
)
def test_what_does_not_load_says_why(spoil, error, told, tmp_path):
    spoil(save_tiny_clip(tmp_path))
    with pytest.raises(error, match=told):
        Clip(str(tmp_path))


def test_the_offline_one_goes_by_its_name(folder, monkeypatch):
    monkeypatch.setattr("hwlit.metrics.clip.pocket_clip_path", lambda: folder)
    assert Clip("pocket-clip").facts()["checkpoint"] == "pocket-clip"


def test_a_checkpoint_that_is_nowhere_is_told():
    with pytest.raises(UsageError, match=r"'nobody/nothing' cannot be loaded.*give a folder"):
        Clip("nobody/nothing")


def test_features_that_are_not_finite_compare_nothing(folder):
    clip = Clip(str(folder))
    with torch.no_grad():
        clip.network.visual_projection.weight[0, 0] = float("nan")
    with pytest.raises(UsageError, match="gives features that are not finite"):
        clip.images([noise(0)])
