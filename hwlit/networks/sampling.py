"""Drawing pictures with a stock pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import diffusers
import torch
from PIL import Image


def draw(
    pipeline: diffusers.DiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    batch_size: int = 4,
    size: int | None = None,
) -> list[Image.Image]:
    """Draw one picture for each prompt.

    Each picture has a generator of its own, on the CPU: its noise depends on its seed alone, not
    on the batch or the device.

    Args:
        pipeline: A stock text-to-image pipeline.
        prompts: One for each picture.
        seeds: One for each picture.
        steps: Denoising steps.
        guidance: How far to go from the prediction without a prompt past the one with it; 1 takes
            the latter as it is. Source: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598.
        batch_size: Pictures drawn at once.
        size: Their side in pixels; None takes the pipeline's own.
    """
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch_size):
        some = slice(start, start + batch_size)
        pictures += pipeline(
            prompt=list(prompts[some]),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[some]],
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=size,
            width=size,
        ).images
    return pictures
