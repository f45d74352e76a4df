"""The drawn training pictures, cached as arrays beside the captions' facts.

20,000 of each kind take about 3 minutes on two cores of a cloud Xeon.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hwlit.storage import replacing, write_text
from tools.pocket.scenes import SIZE, Scene, any_scene, draw, facts, known_scene

COUNT = 20_000
PART = 1_000
KINDS: dict[str, Callable[[Random], Scene]] = {"known": known_scene, "any": any_scene}


def _part(kind: str, part: int) -> tuple[np.ndarray, list[dict[str, str]]]:
    rng = Random(f"{kind} {part}")
    scenes = [KINDS[kind](rng) for _ in range(PART)]
    pixels = np.stack([np.asarray(draw(scene, rng)) for scene in scenes])
    return pixels, [facts(scene) for scene in scenes]


def load(kind: str, folder: Path, workers: int = 2) -> tuple[Tensor, list[Scene]]:
    """Return pictures (n, 64, 64, 3), uint8, and their scenes; drawn where not cached yet.

    Args:
        kind: A key of `KINDS`.
        folder: Where the cache lies.
        workers: Processes that draw.
    """
    array, scenes = folder / f"{kind}.npy", folder / f"{kind}.json"
    if not scenes.is_file():
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_part, [kind] * (COUNT // PART), range(COUNT // PART)))
        with replacing(array) as file:
            np.save(file, np.concatenate([pixels for pixels, _ in parts]))
        write_text(scenes, json.dumps([scene for _, part in parts for scene in part]))
    pixels = torch.from_numpy(np.load(array))
    return pixels, [Scene(**scene) for scene in json.loads(scenes.read_text())]


def to_pixels(pictures: Tensor) -> Tensor:
    """Return uint8 pictures (n, h, w, 3) as (n, 3, h, w) in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_images(pixels: Tensor) -> list[Image.Image]:
    """Return tensors (n, 3, h, w) in [-1, 1] as PIL images."""
    bytes_ = pixels.float().clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)
    return [Image.fromarray(image) for image in bytes_.numpy()]


__all__ = ["COUNT", "KINDS", "SIZE", "load", "to_images", "to_pixels"]
