"""Drawing pictures with a stock pipeline, and looking at what was drawn.

A pipeline whose numbers overflow ends with NaN, which its last step casts to black. So its numbers
are looked at before that: where the decoder overflows in half precision it decodes again in fp32,
as diffusers does by itself for SDXL; whatever else is not finite is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
from PIL import Image
from torch import Tensor

from hwlit.errors import DivergedError, HwlitError, UsageError
from hwlit.networks.full_precision import finite_rows, in_full_precision, precision_of

DECODED = "decoded_in"  # a picture's info, where it overflowed in half precision


def draw(
    pipeline: diffusers.DiffusionPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    batch_size: int = 4,
    size: int | None = None,
    learned: bool = True,
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
        learned: Whether the pipeline holds what was learned, which is then to blame.

    Returns:
        The pictures; see `decoded_in_fp32`.

    Raises:
        DivergedError: What was learned gives numbers that are not finite.
        UsageError: The pretrained pipeline does.
    """
    settings = {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "height": size,
        "width": size,
    }
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), batch_size):
        some = slice(start, start + batch_size)
        pictures += _drawn_at_once(pipeline, prompts[some], seeds[some], settings, learned)
    return pictures


def _drawn_at_once(
    pipeline: Any,
    prompts: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    learned: bool,
) -> list[Image.Image]:
    seen: dict[str, Tensor] = {}

    def keep(_: Any, step: int, time: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.update(state)
        return state

    levels = pipeline(
        prompt=list(prompts),
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
        callback_on_step_end=keep,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
        **settings,
    ).images
    names = [f"{p!r} and seed {s}" for p, s in zip(prompts, seeds, strict=True)]
    if not bool(torch.isfinite(seen["prompt_embeds"]).all()):  # of these and of no prompt
        told = (
            f"the features that the text encoder gives (in {precision_of(pipeline.text_encoder)})"
        )
        raise _not_finite(told, names[0], learned)
    return _looked_at(pipeline, levels, seen["latents"], names, learned)


def _looked_at(
    pipeline: Any, levels: Tensor, latents: Tensor, names: Sequence[str], learned: bool
) -> list[Image.Image]:
    """Return levels from 0 to 1, (rows, 3, h, w), as pictures; what overflowed is decoded again."""
    if not bool((sound := finite_rows(latents)).all()):
        what = f"the latents that the denoiser gives (in {precision_of(pipeline.unet)})"
        raise _not_finite(what, names[int(sound.int().argmin())], learned)
    overflowed = ~finite_rows(levels)
    if bool(overflowed.any()):
        again = decoded(pipeline.vae, latents[overflowed])
        if not bool((sound := finite_rows(again)).all()):
            what = "the pixels that the VAE decodes (in float32, too)"
            rows = overflowed.nonzero().flatten().tolist()
            raise _not_finite(what, names[rows[int(sound.int().argmin())]], learned)
        levels[overflowed] = (again / 2 + 0.5).clamp(0, 1).to(levels)
    processor = pipeline.image_processor
    pictures: list[Image.Image] = processor.numpy_to_pil(processor.pt_to_numpy(levels))
    for picture, wide in zip(pictures, overflowed.tolist(), strict=True):
        if wide:
            picture.info[DECODED] = "float32"
    return pictures


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """Return pictures of latents as the denoiser knows them, from -1 to 1, decoded in fp32.

    Args:
        vae: The autoencoder, in any precision.
        latents: (rows, channels, height, width).
    """
    with in_full_precision(vae) as wide:
        latents = latents.to(wide.device, wide.dtype) / vae.config.scaling_factor
        # A picture at a time: in fp32 it takes twice the memory.
        return torch.cat([wide.decode(one[None]).sample for one in latents])


def decoded_in_fp32(picture: Image.Image) -> bool:
    """Return whether the decoder overflowed in half precision, so that it decoded in fp32."""
    return DECODED in picture.info


def _not_finite(what: str, where: str, learned: bool) -> HwlitError:
    told = f"{what} for {where} are not finite, which would be a black picture"
    wider = "" if "float32" in what else ", or in a wider precision: --trainer.precision 32-true"
    if learned:
        return DivergedError(
            f"{told}: what was learned broke the pipeline, if its base draws them well; train "
            f"again with a lower --model.adapter.learning_rate{wider}"
        )
    return UsageError(
        f"{told}: the pretrained pipeline gives them; give another by --model.pretrained{wider}"
    )
