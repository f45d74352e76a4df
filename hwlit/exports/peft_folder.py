"""A PEFT adapter folder, as `PeftModel.from_pretrained` reads it.

Layout: `adapter_config.json`, `adapter_model.safetensors` (keys under `base_model.model.`), the
tokenizer, the network's config with the label names in `classifier/config.json`, and for a
quantised base the `quantization_config.json` of transformers by which it is quantised. There is no
`config.json` beside the adapter: transformers would look for the whole model there.
Source: https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import PeftConfig, TaskType
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hwlit.exports.older_loaders import save_adapter_config, save_config, save_tokenizer
from hwlit.exports.stock_classifier import CLASSIFIER, QUANTIZATION
from hwlit.storage import replacing, write_text

WEIGHTS = "adapter_model.safetensors"
MAGNITUDES = ".lora_magnitude_vector"
BASE = QUANTIZATION  # as `AutoQuantizationConfig.from_dict` of transformers reads it


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
    labels: Sequence[str] | None = None,
    rows: Mapping[str, Sequence[int]] | None = None,
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
        labels: Class names in the order of the rows that are written; None takes the network's.
        rows: By name of a head's tensor, which of its rows are written, in which order.

    Returns:
        The file that holds what was learned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for head in heads:
        tensors |= network.get_submodule(head).state_dict(prefix=f"base_model.model.{head}.")
    # DoRA's magnitudes by the name at which transformers looks for them; PEFT takes either name.
    tensors = {f"{n}.weight" if n.endswith(MAGNITUDES) else n: t for n, t in tensors.items()}
    for name, order in (rows or {}).items():
        tensors[f"base_model.model.{name}"] = tensors[f"base_model.model.{name}"][list(order)]
    # Cloned, for safetensors refuses tensors that share memory, as VeRA's layers do.
    learned = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    save_adapter_config(_complete(config, heads, base, revision), folder)
    save_config(_named(network, labels), folder / CLASSIFIER)
    save_tokenizer(tokenizer, folder)
    if base_config is not None:
        write_text(folder / BASE, json.dumps(base_config, indent=2) + "\n")
    with replacing(folder / WEIGHTS) as file:
        file.write(save(learned, metadata={"format": "pt"}))
    return folder / WEIGHTS


def _complete(
    config: PeftConfig, heads: tuple[str, ...], base: str, revision: str | None
) -> PeftConfig:
    """Return an adapter's config with what PEFT is to know of the base and the heads."""
    saved = dataclasses.replace(config, modules_to_save=list(heads))  # type: ignore[call-arg]
    for name, value in vars(saved).items():
        if isinstance(value, set):  # whose order differs from process to process
            setattr(saved, name, sorted(value))
    saved.base_model_name_or_path = base
    saved.revision = revision
    saved.task_type = TaskType.SEQ_CLS
    saved.inference_mode = True
    return saved


def _named(network: PreTrainedModel, labels: Sequence[str] | None) -> PreTrainedConfig:
    """Return a copy of a network's config, its classes in the order of the labels."""
    config: PreTrainedConfig = copy.deepcopy(network.config)
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
    return config
