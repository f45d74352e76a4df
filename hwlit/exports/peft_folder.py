"""A PEFT adapter folder, as `PeftModel.from_pretrained` reads it.

Layout: `adapter_config.json`, `adapter_model.safetensors` (keys under `base_model.model.`), the
tokenizer, the network's `config.json` with the label names, and for a quantised base the
`quantization_config.json` of transformers by which it is quantised.
Source: https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from peft import PeftConfig, TaskType
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hwlit.storage import replacing, write_text

WEIGHTS = "adapter_model.safetensors"
BASE = "quantization_config.json"  # as `AutoQuantizationConfig.from_dict` of transformers reads it


def write_peft_folder(
    folder: Path,
    network: PreTrainedModel,
    config: PeftConfig,
    tensors: dict[str, Tensor],
    heads: tuple[str, ...],
    base: str,
    revision: str | None,
    tokenizer: PreTrainedTokenizerBase,
    base_config: dict[str, Any] | None = None,
) -> Path:
    """Write the adapter and the heads of a network that `inject_adapter_in_model` changed.

    Args:
        folder: Where to write; made if need be.
        network: The network with the adapter attached and not merged.
        config: The config that PEFT rebuilds the adapter from.
        tensors: The adapter's tensors by their names in PEFT's file.
        heads: Names of the modules that are saved whole (`modules_to_save`).
        base: Public name of the pretrained model; a hub id where there is one.
        revision: Commit of the pretrained model on the hub, if known.
        tokenizer: Saved beside the weights.
        base_config: How transformers quantises the base that the adapter was trained on.

    Returns:
        The file that holds what was learned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for head in heads:
        tensors |= network.get_submodule(head).state_dict(prefix=f"base_model.model.{head}.")
    # Cloned, for safetensors refuses tensors that share memory, as VeRA's layers do.
    learned = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    saved = dataclasses.replace(config, modules_to_save=list(heads))  # type: ignore[call-arg]
    for name, value in vars(saved).items():
        if isinstance(value, set):  # whose order differs from process to process
            setattr(saved, name, sorted(value))
    saved.base_model_name_or_path = base
    saved.revision = revision
    saved.task_type = TaskType.SEQ_CLS
    saved.inference_mode = True
    saved.save_pretrained(str(folder))
    network.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if base_config is not None:
        write_text(folder / BASE, json.dumps(base_config, indent=2) + "\n")
    with replacing(folder / WEIGHTS) as file:
        file.write(save(learned, metadata={"format": "pt"}))
    return folder / WEIGHTS
