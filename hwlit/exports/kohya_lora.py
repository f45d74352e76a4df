"""A LoRA file as kohya's scripts name it, for A1111, ComfyUI and the like; diffusers reads it too.

Layout: one tensor `lora_unet_<layer>.lora_down.weight` and `.lora_up.weight` per layer, dots of its
name as underscores, and a scalar `.alpha` beside them, in a safetensors file. Text encoders are
`lora_te_`, and on SDXL `lora_te1_` and `lora_te2_`. The header has the keys of kohya, `ss_...`, and
of ModelSpec: by them tools tell files for SDXL from others, and show the words to prompt with.
Source: https://github.com/kohya-ss/sd-scripts/blob/main/networks/lora.py and
https://github.com/Stability-AI/ModelSpec. Of a text encoder's attention diffusers 0.42 reads such a
file only where it holds an `out_proj`: where none was trained, one of zeros is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
ATTENTION = ".self_attn."  # of a text encoder
# Of SDXL's denoiser, whose name in diffusers no tool reads out of such a file.
ADDED = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
MIXED = "Dynamic"  # kohya's word for layers of different sizes
UP = (".lora_B.weight", ".lora_linear_layer.up.weight")


def write_kohya_lora(source: Path, target: Path, facts: Mapping[str, str] | None = None) -> Path:
    """Write a LoRA file of diffusers anew, as kohya's scripts name its tensors.

    Args:
        source: The folder of `pytorch_lora_weights.safetensors`, the settings in its header.
        target: The file to write; none is overwritten.
        facts: What the header says beside the network's size; its `ss_base_model_version` tells
            whether the base is SDXL, whose text encoders have names of their own.

    Returns:
        The file.

    Raises:
        IntegrityError: Its header or a tensor is none of a LoRA file, or the source holds a link.
        UsageError: The target exists or ends otherwise, the source holds no such file, or has
            layers that such a file has no place for.
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
    facts = facts or {}
    xl = facts.get("ss_base_model_version", "").startswith("sdxl")
    found = _renamed(tensors, settings, source / WEIGHTS, xl)
    told = {"format": "pt", "ss_network_module": "networks.lora", **_size(found), **facts}
    with replacing(target) as out:
        out.write(save(found, metadata=told))
    return target


def _renamed(
    tensors: Mapping[str, Tensor], settings: dict[str, object], file: Path, xl: bool
) -> dict[str, Tensor]:
    """Return the tensors by kohya's names, each layer's alpha beside them."""
    # By the base: what was trained of SDXL may lie in its first text encoder alone.
    prefixes = {"unet": "lora_unet", "text_encoder": "lora_te1" if xl else "lora_te"}
    prefixes["text_encoder_2"] = "lora_te2"
    found: dict[str, Tensor] = {}
    for name, tensor in (dict(tensors) | _out_proj(tensors)).items():
        part, _, inner = name.partition(".")
        if part not in prefixes or not tensor.ndim:
            raise IntegrityError(f"{file} is damaged ({name}); train again")
        layer, kind = _layer(inner)
        if layer.endswith("text_projection"):
            raise UsageError(
                f"{part}.text_projection was trained, which stock diffusers passes over in a file "
                "for kohya; train with targets that leave it out, or use RUN/adapter, which has it"
            )
        key = f"{prefixes[part]}_{ADDED.get(layer, layer).replace('.', '_')}"
        found[f"{key}.{kind}.weight"] = tensor
        if kind == "lora_down":
            found[f"{key}.alpha"] = torch.tensor(_alpha(settings, part, len(tensor)))
    return found


def _out_proj(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return an `out_proj` of zeros for each text encoder whose attention was trained without."""
    found: dict[str, Tensor] = {}
    for part in sorted({name.partition(".")[0] for name in tensors}):
        own = [name for name in tensors if name.startswith(f"{part}.") and ATTENTION in name]
        if own and part != "unet" and not any(f"{ATTENTION}out_proj." in name for name in own):
            layer = min(own).partition(ATTENTION)[0] + ATTENTION
            for name in own:  # of one layer; all its matrices have the same shape
                inner = name.removeprefix(layer).partition(".")[2]
                if name.startswith(layer):
                    found[f"{layer}out_proj.{inner}"] = torch.zeros_like(tensors[name])
    return found


def _size(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return what a header says of rank and alpha, those of convolutions apart."""
    linear, convolutions = _sizes(tensors, False), _sizes(tensors, True)
    rank, alpha = linear or convolutions or ("", "")
    told = {"ss_network_dim": rank, "ss_network_alpha": alpha}
    if convolutions is not None:
        sizes = dict(zip(("conv_dim", "conv_alpha"), convolutions, strict=True))
        told["ss_network_args"] = json.dumps(sizes)
    return told


def _sizes(tensors: Mapping[str, Tensor], convolutions: bool) -> tuple[str, str] | None:
    """Return rank and alpha of layers with kernels, or of the others; None where there are none."""
    own = [
        (len(tensor), float(tensors[name.replace(".lora_down.weight", ".alpha")]))
        for name, tensor in tensors.items()
        if name.endswith(".lora_down.weight") and (tensor[0, 0].numel() > 1) == convolutions
    ]
    if not own:
        return None
    ranks, alphas = ({str(value) for value in values} for values in zip(*own, strict=True))
    return (
        ranks.pop() if len(ranks) == 1 else MIXED,
        alphas.pop() if len(alphas) == 1 else MIXED,
    )


def _layer(name: str) -> tuple[str, str]:
    """Return the layer of a tensor, and what kohya calls its matrix."""
    for endings, kind in ((DOWN, "lora_down"), (UP, "lora_up")):
        for ending in endings:
            if name.endswith(ending):
                return name.removesuffix(ending), kind
    if "lora_magnitude_vector" in name:
        raise UsageError("DoRA has no place in a file for kohya; train without dora")
    raise UsageError(
        f"{name} belongs to no linear layer and no convolution, all that a file for kohya holds; "
        "train with targets that leave it out"
    )


def _alpha(settings: dict[str, object], part: str, rank: int) -> float:
    """Return the alpha by which a loader scales: update = alpha / rank * up down."""
    try:
        alpha = float(str(settings.get(f"{part}.lora_alpha", rank)))
    except ValueError as error:
        raise IntegrityError(f"its alpha is no number ({error}); train again") from error
    return alpha * rank**0.5 if settings.get(f"{part}.use_rslora") else alpha
