import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.data.concept_images import ConceptImages
from hwlit.data.random_size import CLOSE, FAR, randomly_sized, variants
from hwlit.networks.tokenizers import load_tokenizers
from tests.pipelines import SIDE

SEEDS = range(300)


@pytest.fixture(scope="module")
def frames():
    """White pictures of 64 pixels with latents of 16 x 16 cells, at many seeds."""
    white = Image.new("RGB", (80, 64), "white")
    return [randomly_sized(white, 64, 4, seed) for seed in SEEDS]


def shown(sized):
    """The side in pixels, as far as the square shows it."""
    return int((sized.frame.pixels[0] > 0).any(dim=1).sum())


def test_two_in_three_are_shrunk_and_the_prompt_says_so(frames):
    far = [sized for sized in frames if sized.prefix in FAR]
    close = [sized for sized in frames if sized.prefix in CLOSE]
    assert {sized.prefix for sized in frames} == {"", *FAR, *CLOSE}
    assert 0.25 < len(close) / len(frames) < 0.43
    assert all(21 <= shown(sized) < 0.6 * 64 for sized in far)
    assert all(shown(sized) == 64 and sized.valid.all() for sized in close)
    assert all(shown(sized) >= 0.6 * 64 for sized in frames if sized.prefix == "")


def test_the_mask_holds_cells_of_the_picture_alone(frames):
    for sized in frames:
        cells = sized.frame.pixels.mean(dim=0).reshape(16, 4, 16, 4).amin(dim=(1, 3))
        assert sized.valid.any()
        assert (cells[sized.valid[0] > 0] > 0.99).all()
        if sized.prefix in FAR:  # and not those at its border
            assert sized.valid.sum() <= ((shown(sized) // 4) - 1) ** 2


def test_a_seed_gives_its_frame():
    image = Image.linear_gradient("L").convert("RGB")
    one, again, other = (randomly_sized(image, 64, 8, seed) for seed in (3, 3, 4))
    assert torch.equal(one.frame.pixels, again.frame.pixels)
    assert one.prefix == again.prefix
    assert not torch.equal(one.frame.pixels, other.frame.pixels)
    assert all(randomly_sized(image, 32, 8, seed).valid.any() for seed in range(50))


def test_rows_have_the_prompt_of_their_size(tiny_pipelines, tmp_path):
    Image.new("RGB", (40, 40), "white").save(tmp_path / "a.png")
    (tmp_path / "class").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "class" / "b.png")
    (tmp_path / "class" / "b.txt").write_text("red dog")
    given = {
        "path": str(tmp_path), "pretrained": tiny_pipelines["sd"], "class_images": 1,
        "instance_prompt": "photo of <new1> dog", "class_prompt": "photo of dog",
        "class_images_path": str(tmp_path / "class"), "new_tokens": {"<new1>": 2},
    }  # fmt: skip
    data = ConceptImages(**given, random_size=True, cache_latents=False, epoch_steps=12)
    rows = data._rows()
    said = {}
    for batch in data.train_dataloader():
        assert batch["valid"].shape == (2, 1, SIDE // 4, SIDE // 4)
        assert batch["valid"][1].all()  # of the class
        said[tuple(batch["input_ids"][0].tolist())] = batch["input_ids"][1].tolist()
    assert len(said) > 2
    every = variants("photo of <new1> dog")
    known = {tuple(rows.encoded.said["input_ids"][rows.numbers[p]].tolist()) for p in every}
    assert set(said) <= known
    assert len(known) == 5
    first = len(load_tokenizers(tiny_pipelines["sd"])[0])
    assert all({first, first + 1} <= set(ids) for ids in said)  # both vectors of the word
    red = rows.encoded.said["input_ids"][rows.numbers["red dog"]].tolist()
    assert all(np.array_equal(ids, red) for ids in said.values())
    (fixed,) = {tuple(batch["input_ids"][0].tolist()) for batch in data.val_dataloader()}
    assert fixed == tuple(rows.encoded.said["input_ids"][rows.numbers[every[0]]].tolist())
