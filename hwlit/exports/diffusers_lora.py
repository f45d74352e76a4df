"""A LoRA file, as `pipe.load_lora_weights(folder)` of diffusers reads it.

Layout: `pytorch_lora_weights.safetensors`, its keys under `unet.` and `text_encoder.`. The tensors
say nothing of alpha, and only diffusers 0.34 and later look for it in the file's header: what reads
the tensors alone takes alpha = rank. So the strength is folded into the tensors, y = W x + B' A x
with B' = (alpha / rank) B, and alpha = rank holds for every loader; DoRA divides by the length of
the same W + B' A. Loaders take one rank for all layers of a part, so that thinner ones are filled
up with zeros.
Source: https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference and
`StableDiffusionLoraLoaderMixin.save_lora_weights`, which writes the same file, but not durably.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from peft import LoraConfig, PeftConfig
from peft.utils import PeftType
from peft.utils.other import get_pattern_key
from safetensors.torch import save
from torch import Tensor

from hwlit.errors import UsageError
from hwlit.storage import replacing

WEIGHTS = "pytorch_lora_weights.safetensors"
PARTS = ("unet", "text_encoder", "text_encoder_2")
# Settings that the tensors hold, and those of training alone: with dropout diffusers would draw,
# and by what the layers began as it would change the base.
LEFT_OUT = ("use_rslora", "alpha_pattern", "rank_pattern", "lora_dropout", "init_lora_weights")
PREFIX = "base_model.model."  # of the names in PEFT's own file


def write_diffusers_lora(
    folder: Path,
    config: PeftConfig,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write the LoRA layers of a network whose parts are those of a pipeline.

    Args:
        folder: Where to write; made if need be.
        config: The config that PEFT rebuilds the layers from, its targets given by full names that
            begin with the part (`unet.`, `text_encoder.`, `text_encoder_2.`).
        tensors: The layers' tensors by their names in PEFT's file.
        facts: What the header says beside it, such as the base model.

    Returns:
        The file.

    Raises:
        UsageError: The layers are not LoRA's, or belong to another part.
    """
    if not is_lora(config):
        raise UsageError(
            f"{type(config).__name__} has no file that diffusers reads; use LoRA, or an adapter "
            "that can be merged"
        )
    saved: dict[str, Tensor] = {}
    settings: dict[str, Any] = {}
    names = {name.removeprefix(PREFIX): t.detach().cpu() for name, t in tensors.items()}
    if foreign := sorted({name.partition(".")[0] for name in names}.difference(PARTS)):
        raise UsageError(f"diffusers loads LoRA into {', '.join(PARTS)}, and not {foreign[0]}")
    for part in PARTS:
        own = {n.removeprefix(f"{part}."): t for n, t in names.items() if n.startswith(f"{part}.")}
        if own:
            rank = max(t.shape[0] for n, t in own.items() if _layer(n)[1].endswith("A"))
            own = {n: _folded(config, part, own, n, rank) for n in own}
            saved |= {f"{part}.{n}": t for n, t in _in_file(part, own).items()}
            settings |= {f"{part}.{k}": v for k, v in _settings(config, part, rank).items()}
    header = {
        **(facts or {}),
        "format": "pt",
        "lora_adapter_metadata": json.dumps(settings, default=list),
    }
    with replacing(folder / WEIGHTS) as file:
        # Cloned, for safetensors refuses tensors that share memory.
        file.write(save({n: t.contiguous().clone() for n, t in saved.items()}, metadata=header))
    return folder / WEIGHTS


def is_lora(config: PeftConfig | None) -> TypeGuard[LoraConfig]:
    """Return whether a config is LoRA's own; AdaLoRA's is of a class made from it."""
    return isinstance(config, LoraConfig) and config.peft_type == PeftType.LORA


def _layer(name: str) -> tuple[str, str]:
    """Return the layer of a tensor, and which of its tensors it is: `A`, `B`, `magnitude_vector`.

    That of an embedding is `embedding_A`.
    """
    layer, _, rest = name.partition(".lora_")
    return layer, rest.partition(".")[0]


def _folded(
    config: LoraConfig, part: str, tensors: Mapping[str, Tensor], name: str, rank: int
) -> Tensor:
    """Return a tensor of a layer, the layer's strength in B, filled up to a rank with zeros."""
    (layer, kind), tensor = _layer(name), tensors[name]
    if kind.endswith("A"):
        return torch.cat([tensor, tensor.new_zeros(rank - len(tensor), *tensor.shape[1:])])
    if not kind.endswith("B"):
        return tensor
    own = next(t.shape[0] for n, t in tensors.items() if _layer(n) == (layer, kind[:-1] + "A"))
    alphas = config.alpha_pattern or {}
    alpha = alphas.get(get_pattern_key([*alphas], f"{part}.{layer}"), config.lora_alpha)
    scaled: Tensor = tensor * (alpha / (own**0.5 if config.use_rslora else own))
    if tensor.ndim == 1:  # the bias of B, that PEFT scales as well
        return scaled
    room = tensor.new_zeros(tensor.shape[0], rank - own, *tensor.shape[2:])
    return torch.cat([scaled, room], dim=1)


def _in_file(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a part by the names that every loader of such files knows."""
    if part == "unet":
        return tensors
    found = {}
    for name, tensor in tensors.items():
        # transformers 5.6 has no `text_model.` any more; older tools know nothing else.
        if not name.startswith("text_projection."):  # which lies beside it, on SDXL
            name = "text_model." + name.removeprefix("text_model.")
        name = name.replace(".lora_A.", ".lora_linear_layer.down.")
        name = name.replace(".lora_B.", ".lora_linear_layer.up.")
        # DoRA's lengths, which transformers would leave out, where diffusers hands them on.
        found[name + ".weight" * name.endswith(".lora_magnitude_vector")] = tensor
    return found


def _settings(config: LoraConfig, part: str, rank: int) -> dict[str, Any]:
    """Return the config of one part as JSON can hold it, its targets as that part names them.

    What PEFT sets by itself is left out: its older versions refuse names that they do not know.
    """
    usual, prefix = vars(LoraConfig()), f"{part}."
    targets = [name for name in config.target_modules or () if name.startswith(prefix)]
    found = {k: v for k, v in vars(config).items() if v != usual[k] and k not in LEFT_OUT}
    return found | {
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(name.removeprefix(prefix) for name in targets),
    }
