"""The transforms of torchvision that diffusers' DreamBooth scripts use, on Pillow pictures.

Source: https://docs.pytorch.org/vision/stable/transforms.html
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class InterpolationMode(Enum):
    """How pixels are made anew, by Pillow's names."""

    NEAREST = Image.Resampling.NEAREST
    BILINEAR = Image.Resampling.BILINEAR
    BICUBIC = Image.Resampling.BICUBIC
    BOX = Image.Resampling.BOX
    HAMMING = Image.Resampling.HAMMING
    LANCZOS = Image.Resampling.LANCZOS


class Compose:
    """Applies one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        """Return what the last makes of it."""
        for transform in self.transforms:
            image = transform(image)
        return image


class Resize:
    """Scales the shorter side to a size in pixels; the longer is rounded down."""

    def __init__(
        self, size: int, interpolation: InterpolationMode = InterpolationMode.BILINEAR
    ) -> None:
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the scaled picture."""
        shorter = min(image.size)
        width, height = (int(self.size * side / shorter) for side in image.size)
        if (width, height) == image.size:
            return image
        return image.resize((width, height), self.interpolation.value)


class CenterCrop:
    """Cuts the square in the middle."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the square."""
        left, top = (round((side - self.size) / 2) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


class RandomCrop:
    """Cuts a square anywhere."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the square."""
        left, top = (random.randint(0, side - self.size) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


class RandomHorizontalFlip:
    """Changes left and right in a share of the pictures."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the picture, mirrored or not."""
        if random.random() < self.p:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


class ToTensor:
    """Makes fp32 (channels, height, width) from 0 to 1."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return its pixels."""
        pixels = torch.from_numpy(np.array(image))
        return pixels.permute(2, 0, 1).contiguous().float().div(255)


class Normalize:
    """Subtracts a mean and divides by a deviation, one for all channels or one for each."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the scaled pixels."""
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std
