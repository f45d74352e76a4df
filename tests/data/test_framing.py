import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.data.framing import framed, picture_side
from hwlit.errors import UsageError
from tests.pipelines import SIDE


def ramp(width, height):
    """Red rises to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))


def test_the_centre_of_the_scaled_picture_is_cut():
    frame = framed(ramp(64, 32), 16)
    assert frame.pixels.shape == (3, 16, 16)
    assert frame.time_ids == (32, 64, 0, 8, 16, 16)
    red, green = frame.pixels[0], frame.pixels[1]
    assert float(red.mean()) == pytest.approx(0, abs=0.02)
    assert -0.55 < float(red[:, 0].mean()) < -0.4
    assert float(green[0].mean()) < -0.9 < 0.9 < float(green[-1].mean())


def test_a_square_of_the_right_size_is_taken_as_it_is():
    frame = framed(ramp(16, 16), 16)
    wanted = torch.from_numpy(np.array(ramp(16, 16))).permute(2, 0, 1).float() / 127.5 - 1
    torch.testing.assert_close(frame.pixels, wanted)


def test_a_place_and_a_flip():
    corner = framed(ramp(64, 32), 16, (0.0, 1.0))
    assert corner.time_ids == (32, 64, 0, 16, 16, 16)
    flipped = framed(ramp(64, 32), 16, (0.0, 1.0), flip=True)
    assert torch.equal(flipped.pixels, corner.pixels.flip(-1))
    assert flipped.time_ids == (32, 64, 0, 0, 16, 16)  # where it lies in the mirrored picture


def test_small_pictures_are_enlarged():
    assert framed(ramp(5, 9), 16).pixels.shape == (3, 16, 16)


def test_sides_must_suit_the_pipeline(tiny_pipelines):
    assert picture_side(tiny_pipelines["sd"], None) == SIDE
    assert picture_side(tiny_pipelines["sd"], 48) == 48
    with pytest.raises(UsageError, match=r"resolution is 50, but .* of 8 pixels; give 48 or 56"):
        picture_side(tiny_pipelines["sd"], 50)
    with pytest.raises(UsageError, match=r"give 8$"):
        picture_side(tiny_pipelines["sd"], 5)
    with pytest.raises(UsageError, match="give a whole number from 1"):
        picture_side(tiny_pipelines["sd"], 0)
