"""A file that was given where a pipeline's folder is wanted: what it holds, and how to convert it.

Civitai and ComfyUI keep a whole pipeline in one file. Only its header is read: the names of the
tensors tell which kind it is. Source of the names: the original programs, and CHECKPOINT_KEY_NAMES
of diffusers.loaders.single_file_utils.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from hwlit.networks.vetting import shapes

FLAG = "--model.pretrained"
PICKLED = (".ckpt", ".pt", ".pth", ".bin")
EDM = "edm_mean"
FIRST_LAYER = "model.diffusion_model.input_blocks.0.0.weight"
LORA = re.compile(r".*(lora_(up|down|[AB])|lora\.(up|down)|hada_w\d_|lokr_w\d|dora_scale).*")
# The text encoder of each, which a whole file holds.
SD, SDXL = "cond_stage_model.", "conditioner.embedders.1."
# What begins the names of other kinds.
OTHERS = {
    "a ControlNet": ("control_model.", "input_hint_block."),
    "an SDXL refiner": ("conditioner.embedders.0.model.",),
    "a FLUX model": ("double_blocks.", "model.diffusion_model.double_blocks."),
    "an SD3 model": ("joint_blocks.", "model.diffusion_model.joint_blocks."),
    "a textual inversion": ("emb_params", "clip_g", "clip_l", "string_to_param"),
    "a UNet alone": ("model.diffusion_model.", "down_blocks."),
    "a VAE alone": ("first_stage_model.", "decoder.", "encoder."),
    "a text encoder alone": ("text_model.",),
}


def what_to_do(path: Path) -> str:
    """Return a sentence: what a file is, and what to give instead.

    Args:
        path: The file.

    Raises:
        IntegrityError: It is a damaged safetensors file.
    """
    if path.suffix.lower() in PICKLED:
        return (
            f"{FLAG} {path} is a pickle, which can hold code and is not read; get it as "
            ".safetensors, or convert it where you trust it, with StableDiffusionXLPipeline if it "
            f"is one of SDXL: {_conversion(path, 'StableDiffusionPipeline')}"
        )
    if path.suffix.lower() != ".safetensors":
        return f"{FLAG} {path} is a file; give the pipeline's folder"
    found = shapes(path)
    if any(map(LORA.fullmatch, found)):
        return (
            f"{FLAG} {path} is a LoRA, which needs the pipeline that it was trained on; give that "
            "pipeline's folder or hub id"
        )
    for kind, encoder in (("StableDiffusionXLPipeline", SDXL), ("StableDiffusionPipeline", SD)):
        if _has(found, (encoder,)) and _has(found, ("model.diffusion_model.",)):
            return _converted(path, kind, found)
    for kind, names in OTHERS.items():
        if _has(found, names):
            return (
                f"{FLAG} {path} is {kind}; give the folder of a whole pipeline of Stable Diffusion "
                "1, 2 or XL"
            )
    return f"{FLAG} {path} is a file, of no kind that is known; give the pipeline's folder"


def _converted(path: Path, kind: str, found: Mapping[str, list[int]]) -> str:
    channels = found.get(FIRST_LAYER, [0, 4])[1]
    if channels != 4:
        return (
            f"{FLAG} {path} has a UNet of {channels} input channels, as for inpainting or editing; "
            "give a text-to-image model, which has 4"
        )
    if EDM in found:
        return f"{FLAG} {path} is an EDM model, as Playground 2.5; hwlit trains noise and velocity"
    return (
        f"{FLAG} {path} is a whole pipeline in one file; convert it once, with a network: "
        f"{_conversion(path, kind)}"
    )


def _conversion(path: Path, kind: str) -> str:
    """Return the two commands that make a folder of a file."""
    folder = path.with_suffix("")
    code = (
        f"from diffusers import {kind}; "
        f"{kind}.from_single_file({json.dumps(str(path))})"
        f".save_pretrained({json.dumps(str(folder))})"
    )
    return f"python -c {shlex.quote(code)} ; then give {FLAG} {shlex.quote(str(folder))}"


def _has(found: Mapping[str, list[int]], beginnings: tuple[str, ...]) -> bool:
    return any(name.startswith(beginnings) for name in found)
