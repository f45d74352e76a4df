"""Squares cut from pictures, in the size that a pipeline takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

CENTER = (0.5, 0.5)


@dataclass(frozen=True)
class Frame:
    """A square cut from a picture.

    Args:
        pixels: (3, size, size), from -1 to 1.
        time_ids: Height and width of the picture, top and left of the square in the picture as it
            was scaled, height and width of the square: what SDXL reads beside the prompt.
    """

    pixels: Tensor
    time_ids: tuple[int, int, int, int, int, int]


def framed(
    image: Image.Image, size: int, place: tuple[float, float] = CENTER, flip: bool = False
) -> Frame:
    """Scale a picture so that its shorter side fits, cut a square, and mirror it if asked.

    Args:
        image: In mode RGB.
        size: Side of the square in pixels.
        place: Where the square lies, from 0 (top, left) to 1 (bottom, right).
        flip: Whether left and right are changed.
    """
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    top, left = (round(p * (side - size)) for p, side in zip(place, (height, width), strict=True))
    across, down = image.width / width, image.height / height
    # Of the square alone: the whole of a long thin picture could be scaled to gigabytes.
    right, bottom = (left + size) * across, (top + size) * down
    box = left * across, top * down, min(right, image.width), min(bottom, image.height)
    scaled = image.resize((size, size), Image.Resampling.LANCZOS, box)
    pixels = torch.from_numpy(np.array(scaled))
    pixels = pixels.permute(2, 0, 1).float() / 127.5 - 1
    if flip:
        pixels, left = pixels.flip(-1), width - size - left
    return Frame(pixels.contiguous(), (image.height, image.width, top, left, size, size))
