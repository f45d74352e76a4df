import numpy as np
import pytest
import torch

from hwlit.networks.diffusion import load_pipeline
from hwlit.networks.sampling import draw
from tests.pipelines import KINDS, SIDE

PROMPTS = ["photo of dog", "red circle", "blue square", "red circle", "the beach"]
SEEDS = [5, 6, 7, 8, 9]


def arrays(pictures):
    return [np.asarray(picture).astype(int) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_picture_in_any_batch(kind, tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines[kind], torch.float32, "cpu")
    given = {"steps": 2, "guidance": 3.0}
    alone = arrays(draw(pipeline, PROMPTS, SEEDS, batch_size=1, **given))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    for size in (2, 5):
        together = arrays(draw(pipeline, PROMPTS, SEEDS, batch_size=size, **given))
        # A product over more rows may round otherwise: by one level of 255 at most.
        assert max(abs(a - b).max() for a, b in zip(alone, together, strict=True)) <= 1
    assert torch.equal(torch.get_rng_state(), before)
    assert abs(alone[1] - alone[3]).max() > 1  # another seed
    assert {picture.shape for picture in alone} == {(SIDE, SIDE, 3)}


def test_pictures_have_the_asked_size(tiny_pipelines):
    pipeline = load_pipeline(tiny_pipelines["sd"], torch.float32, "cpu")
    picture = draw(pipeline, ["red circle"], [0], steps=1, guidance=1.0, size=2 * SIDE)[0]
    assert picture.size == (2 * SIDE, 2 * SIDE)
