"""Whether the parts of a pipeline fit one another, as their configs alone tell.

diffusers looks at none of it on loading: parts that do not fit end in the middle of the first
picture, with two numbers and no names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.networks.plain_files import read_object

MOST_LEVELS = 8  # of a VAE, each of half the side
TOGETHER = "give a pipeline whose files belong together"
# What a config that says nothing means. Source: the constructors of diffusers 0.42 and of
# transformers 5.6: UNet2DConditionModel, AutoencoderKL, CLIPTextConfig.
UNET = {"in_channels": 4, "out_channels": 4, "cross_attention_dim": 1280}
VAE = {"in_channels": 3, "out_channels": 3, "latent_channels": 4}
TEXT_ENCODER = {"hidden_size": 512, "projection_dim": 512}
TIME_IDS = 6  # of SDXL: two sizes and a place, each of two numbers


def check_fit(folder: Path, text_encoders: Sequence[str]) -> None:
    """Refuse a pipeline whose parts do not fit one another, or take more than latents and prompts.

    Args:
        folder: The pipeline's.
        text_encoders: The names of its text encoders.

    Raises:
        UsageError: They do not; names the settings.
    """
    unet, vae = (_config(folder / name) for name in ("unet", "vae"))
    channels = _number(folder / "vae", vae, "latent_channels", VAE)
    for name, kinds in (
        (
            "in_channels",
            "9 are for inpainting, 8 for InstructPix2Pix, 5 for depth, 7 for upscaling",
        ),
        ("out_channels", "they are the noise that is predicted"),
    ):
        if (found := _number(folder / "unet", unet, name, UNET)) != channels:
            raise UsageError(
                f"{folder / 'unet'} has {name}: {found}, but the VAE's latents have {channels} "
                f"channels ({kinds}); give a text-to-image pipeline, whose UNet has as many"
            )
    for name in ("in_channels", "out_channels"):
        if (found := _number(folder / "vae", vae, name, VAE)) != 3:
            raise UsageError(
                f"{folder / 'vae'} has {name}: {found}, and pictures have 3; give another pipeline"
            )
    for name in ("class_embed_type", "num_class_embeds"):
        if unet.get(name) is not None:
            raise UsageError(
                f"{folder / 'unet'} has {name}: {str(unet[name])[:80]}, so that it asks for more "
                "than a prompt; give a text-to-image pipeline"
            )
    _check_prompts(folder, unet, {name: _config(folder / name) for name in text_encoders})


def _check_prompts(folder: Path, unet: dict[str, Any], encoders: dict[str, dict[str, Any]]) -> None:
    """Refuse text encoders whose features are not as wide as the UNet reads them."""
    widths = [
        _number(folder / part, config, "hidden_size", TEXT_ENCODER)
        for part, config in encoders.items()
    ]
    name = "encoder_hid_dim" if unet.get("encoder_hid_dim") is not None else "cross_attention_dim"
    wanted = unet.get(name, UNET.get(name))
    if any(width != sum(widths) for width in (wanted if isinstance(wanted, list) else [wanted])):
        made = " + ".join(map(str, widths))
        raise UsageError(
            f"{folder / 'unet'} has {name}: {str(wanted)[:80]}, but {' and '.join(encoders)} give "
            f"features of width {made}; {TOGETHER}"
        )
    added = unet.get("addition_embed_type")
    if added != (wanted := "text_time" if len(encoders) > 1 else None):
        raise UsageError(
            f"{folder / 'unet'} has addition_embed_type: {str(added)[:80]}, and a pipeline of "
            f"{len(encoders)} text encoder{'s' * (len(encoders) > 1)} wants {wanted}; {TOGETHER}"
        )
    if wanted is None:
        return
    name, (part, pooled) = "projection_class_embeddings_input_dim", list(encoders.items())[-1]
    width = _number(folder / part, pooled, "projection_dim", TEXT_ENCODER)
    times = _number(folder / "unet", unet, "addition_time_embed_dim", {}) * TIME_IDS
    if (found := _number(folder / "unet", unet, name, {})) != width + times:
        raise UsageError(
            f"{folder / 'unet'} has {name}: {found}, but pooled features of {width} and sizes of "
            f"{times} make {width + times}; {TOGETHER}"
        )


def check_vae(folder: Path) -> None:
    """Refuse a VAE whose config holds other than numbers where hwlit reckons with them.

    Raises:
        UsageError: It does, or scales its latents channel by channel.
    """
    config = _config(folder)
    for name in ("scaling_factor", "shift_factor"):
        value = config.get(name)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise UsageError(
                f"{folder} has {name}: {str(value)[:80]} in its config.json, which is no number; "
                "fetch it again"
            )
    if config.get("latents_mean") is not None or config.get("latents_std") is not None:
        raise UsageError(
            f"{folder} has latents_mean or latents_std in its config.json, as Playground 2.5, and "
            "hwlit scales latents by scaling_factor alone; give another pipeline"
        )
    levels = config.get("block_out_channels")
    if not isinstance(levels, list) or not 1 <= len(levels) <= MOST_LEVELS:
        raise UsageError(
            f"{folder} has block_out_channels: {str(levels)[:80]} in its config.json, which is no "
            f"list of 1 to {MOST_LEVELS} numbers; fetch it again"
        )


def _config(folder: Path) -> dict[str, Any]:
    return read_object(folder / "config.json")


def _number(folder: Path, config: dict[str, Any], name: str, usual: dict[str, int]) -> int:
    """Return a whole number of the config of a part or of a pipeline.

    Raises:
        UsageError: It is none.
    """
    found = config.get(name, usual.get(name))
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UsageError(
            f"{folder} has {name}: {str(found)[:80]}, which is no whole number from 1, in its "
            "config.json; fetch it again"
        )
    return found
