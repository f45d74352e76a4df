"""A LoRA file as kohya's scripts name it, for A1111, ComfyUI and the like; diffusers reads it too.

Layout: one tensor `lora_unet_<layer>.lora_down.weight` and `.lora_up.weight` per layer, dots of its
name as underscores, and a scalar `.alpha` beside them, in a safetensors file. Text encoders are
`lora_te_`, and on SDXL `lora_te1_` and `lora_te2_`. Source:
https://github.com/kohya-ss/sd-scripts/blob/main/networks/lora.py. Of a text encoder's attention,
diffusers 0.42 reads such a file only where `out_proj` is among the targets; other tools read all.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hwlit.errors import IntegrityError, UsageError
from hwlit.exports.diffusers_lora import WEIGHTS
from hwlit.run_directory import check_plain
from hwlit.storage import replacing

DOWN = (".lora_A.weight", ".lora_linear_layer.down.weight")
UP = (".lora_B.weight", ".lora_linear_layer.up.weight")


def write_kohya_lora(source: Path, target: Path) -> Path:
    """Write a LoRA file of diffusers anew, as kohya's scripts name its tensors.

    Args:
        source: The folder of `pytorch_lora_weights.safetensors`, the settings in its header.
        target: The file to write; none is overwritten.

    Returns:
        The file.

    Raises:
        IntegrityError: Its header or a tensor is none of a LoRA file.
        UsageError: The target exists or ends otherwise, the source holds no such file, or its
            layers are not plain LoRA's.
        IntegrityError: The source holds a link.
    """
    if target.suffix != ".safetensors" or target.exists():
        raise UsageError(f"{target} must be a new file that ends in .safetensors")
    check_plain(source)
    try:
        with safe_open(source / WEIGHTS, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{source} holds no readable {WEIGHTS}, which runs of LoRA on a picture model leave; "
            "give such a run"
        ) from error
    try:
        settings = dict(json.loads(header.get("lora_adapter_metadata", "{}")))
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{source / WEIGHTS} is damaged ({error}); train again") from error
    xl = any(name.startswith("text_encoder_2.") for name in tensors)
    prefixes = {"unet": "lora_unet", "text_encoder": "lora_te1" if xl else "lora_te"}
    prefixes["text_encoder_2"] = "lora_te2"
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        part, _, inner = name.partition(".")
        if part not in prefixes or not tensor.ndim:
            raise IntegrityError(f"{source / WEIGHTS} is damaged ({name}); train again")
        layer, kind = _layer(inner)
        key = f"{prefixes[part]}_{layer.replace('.', '_')}"
        found[f"{key}.{kind}.weight"] = tensor
        if kind == "lora_down":
            found[f"{key}.alpha"] = torch.tensor(_alpha(settings, part, len(tensor)))
    with replacing(target) as out:
        out.write(save(found, metadata={"format": "pt", "ss_network_module": "networks.lora"}))
    return target


def _layer(name: str) -> tuple[str, str]:
    """Return the layer of a tensor, and what kohya calls its matrix."""
    for endings, kind in ((DOWN, "lora_down"), (UP, "lora_up")):
        for ending in endings:
            if name.endswith(ending):
                return name.removesuffix(ending), kind
    raise UsageError(
        f"{name} belongs to no plain LoRA, all that is written for kohya; train without dora"
    )


def _alpha(settings: dict[str, object], part: str, rank: int) -> float:
    """Return the alpha by which a loader scales: update = alpha / rank * up down."""
    try:
        alpha = float(str(settings.get(f"{part}.lora_alpha", rank)))
    except ValueError as error:
        raise IntegrityError(f"its alpha is no number ({error}); train again") from error
    return alpha * rank**0.5 if settings.get(f"{part}.use_rslora") else alpha
