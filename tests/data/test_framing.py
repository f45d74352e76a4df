import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.data.framing import framed


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


@pytest.mark.parametrize("side", [(640, 427), (427, 640), (300, 300), (35, 90)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.0, 1.0), (0.9, 0.2)])
def test_the_square_is_that_of_the_scaled_picture(side, place):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*side, 3), np.uint8))
    frame = framed(image, 64, place)
    top, left = frame.time_ids[2:4]
    whole = image.resize(
        tuple(round(s * 64 / min(side)) for s in reversed(side)), Image.Resampling.LANCZOS
    )
    wanted = np.asarray(whole.crop((left, top, left + 64, top + 64))).astype(int)
    found = ((frame.pixels.permute(1, 2, 0) + 1) * 127.5).round().numpy()
    assert abs(found - wanted).max() <= 1


def test_of_a_long_thin_picture_the_square_alone_is_scaled(monkeypatch):
    resize, made = Image.Image.resize, []

    def watched(image, *given, **named):
        made.append(resize(image, *given, **named))
        return made[-1]

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert framed(Image.new("RGB", (6000, 1)), 64).pixels.shape == (3, 64, 64)
    assert max(max(image.size) for image in made) == 64


def test_small_pictures_are_enlarged():
    assert framed(ramp(5, 9), 16).pixels.shape == (3, 16, 16)
