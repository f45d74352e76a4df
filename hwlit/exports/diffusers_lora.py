"""A LoRA file, as `pipe.load_lora_weights(folder)` of diffusers reads it.

Layout: `pytorch_lora_weights.safetensors`, its keys under `unet.` and `text_encoder.`. The tensors
say nothing of alpha, so the file's header does: without that a loader takes alpha = rank.
Source: https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference and
`StableDiffusionLoraLoaderMixin.save_lora_weights`, which writes the same file, but not durably.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig
from safetensors.torch import save
from torch import Tensor

from hwlit.errors import UsageError
from hwlit.storage import replacing

WEIGHTS = "pytorch_lora_weights.safetensors"
PARTS = ("unet", "text_encoder", "text_encoder_2")
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
    if not isinstance(config, LoraConfig):
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
            saved |= {f"{part}.{n}": t for n, t in _in_file(part, own).items()}
            settings |= {f"{part}.{k}": v for k, v in _settings(config, part).items()}
    header = {
        **(facts or {}),
        "format": "pt",
        "lora_adapter_metadata": json.dumps(settings, default=list),
    }
    with replacing(folder / WEIGHTS) as file:
        # Cloned, for safetensors refuses tensors that share memory.
        file.write(save({n: t.contiguous().clone() for n, t in saved.items()}, metadata=header))
    return folder / WEIGHTS


def _in_file(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a part by the names that every loader of such files knows."""
    if part == "unet":
        return tensors
    found = {}
    for name, tensor in tensors.items():
        # transformers 5 has no `text_model.` any more; older tools know nothing else.
        name = "text_model." + name.removeprefix("text_model.")
        name = name.replace(".lora_A.", ".lora_linear_layer.down.")
        name = name.replace(".lora_B.", ".lora_linear_layer.up.")
        # DoRA's lengths, which transformers would leave out, where diffusers hands them on.
        found[name + ".weight" * name.endswith(".lora_magnitude_vector")] = tensor
    return found


def _settings(config: LoraConfig, part: str) -> dict[str, Any]:
    """Return the config of one part as JSON can hold it, its targets as that part names them.

    What PEFT sets by itself is left out: its older versions refuse names that they do not know. So
    is dropout, which diffusers would leave on when it draws.
    """
    usual, prefix = vars(LoraConfig(lora_dropout=config.lora_dropout)), f"{part}."
    targets = [name for name in config.target_modules or () if name.startswith(prefix)]
    found = {key: value for key, value in vars(config).items() if value != usual[key]}
    return found | {
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "target_modules": sorted(name.removeprefix(prefix) for name in targets),
    }
