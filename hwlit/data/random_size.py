"""Pictures at random sizes, with prompts that say so: Custom Diffusion's augmentation.

Two pictures in three are shrunk onto a black ground, the rest enlarged and cut, and the prompt says
that the concept is far away or close up. A mask over the latents leaves out the ground, and with it
the border of the picture, whose cells see both. Source: Kumari et al. 2022,
https://arxiv.org/abs/2212.04488, section 4, and the sizes of the authors' program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hwlit.data.framing import Frame, framed

SHRUNK_SHARE = 0.66  # of the pictures
SMALLEST = 1 / 3  # sides of a picture, as shares of the square's
FAR_BELOW = 0.6
ENLARGED = (1.2, 1.4)
FAR, CLOSE = ("a far away ", "very small "), ("zoomed in ", "close up ")


@dataclass(frozen=True)
class SizedFrame:
    """A picture in a random size.

    Args:
        frame: The square.
        valid: Which cells of the latents show the picture alone, 0 or 1, (1, cells, cells).
        prefix: What the prompt says before its own words.
    """

    frame: Frame
    valid: Tensor
    prefix: str


def variants(prompt: str) -> list[str]:
    """Return a prompt without and with each of the prefixes."""
    return [prefix + prompt for prefix in ("", *FAR, *CLOSE)]


def distinct(prompts: Sequence[str], sized: bool) -> list[str]:
    """Return each prompt once, and each variant of it where pictures have random sizes."""
    every = [v for p in prompts for v in variants(p)] if sized else prompts
    return list(dict.fromkeys(every))


def randomly_sized(
    image: Image.Image, size: int, factor: int, seed: int, flip: bool = False
) -> SizedFrame:
    """Shrink a picture onto a black square, or enlarge and cut it.

    Args:
        image: In mode RGB; its centre square is taken.
        size: Side of the square in pixels.
        factor: Pixels in a cell of the latents.
        seed: Decides side, place and prefix.
        flip: Whether left and right are changed.
    """
    random = np.random.default_rng(seed)
    if random.random() < SHRUNK_SHARE:
        # Below two cells less a pixel, none would lie in the picture alone.
        side = int(random.integers(max(round(size * SMALLEST), 2 * factor - 1), size + 1))
    else:
        least, most = (int(share * size) for share in ENLARGED)
        side = int(random.integers(least, most))
    choices = FAR if side < FAR_BELOW * size else CLOSE if side > size else ("",)
    prefix = choices[int(random.integers(len(choices)))]
    top, left = random.integers(0, abs(side - size) + 1, size=2).tolist()
    whole = framed(image, side, flip=flip)
    pixels, sizes = whole.pixels, (*whole.time_ids[:2], 0, 0, size, size)
    if side > size:
        pixels = pixels[:, top : top + size, left : left + size].contiguous()
        valid = torch.ones(1, size // factor, size // factor)
        sizes = (*whole.time_ids[:2], top, left, size, size)
    else:
        ground = torch.full((3, size, size), -1.0)
        ground[:, top : top + side, left : left + side] = pixels
        pixels, valid = ground, _shown(size, factor, top, left, side)
    return SizedFrame(Frame(pixels, sizes), valid, prefix)


def _shown(size: int, factor: int, top: int, left: int, side: int) -> Tensor:
    """Return the cells inside the picture, without its outermost ones where others are left."""
    valid = torch.zeros(1, size // factor, size // factor)
    rows, columns = (_cells(start, side, factor) for start in (top, left))
    valid[:, rows, columns] = 1
    return valid


def _cells(start: int, side: int, factor: int) -> slice:
    first, end = -(-start // factor), (start + side) // factor  # cells that lie inside
    return slice(first + 1, end - 1) if end - first > 2 else slice(first, end)
