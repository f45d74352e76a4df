"""What a run of personalization leaves: files that stock diffusers reads."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from hwlit.adapters.base import Adapter
from hwlit.adapters.quantized import quantised_layers
from hwlit.exports.diffusers_lora import is_lora, write_diffusers_lora
from hwlit.exports.model_card import POCKET
from hwlit.exports.pipeline_folder import write_pipeline_folder
from hwlit.exports.stock_pipeline import QUANTIZED
from hwlit.networks.diffusion import DiffusionNetwork, load_pipeline
from hwlit.networks.pipelines import find_pipeline
from hwlit.paths import is_local
from hwlit.storage import replacing, write_text


def write_export(
    folder: Path,
    adapter: Adapter,
    network: DiffusionNetwork,
    learned: Mapping[str, Tensor],
    pretrained: str,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Path, ...]:
    """Write LoRA as diffusers reads it, anything else as a whole pipeline with the method's files.

    Beside LoRA on a quantised base lies which layers of it were quantised, and how.

    Args:
        folder: Where to write; made if need be.
        adapter: The adapter.
        network: The network that it is attached to.
        learned: What a checkpoint holds of it.
        pretrained: The pipeline that it was.
        dtype: Precision of what did not learn.
        device: Where the network is.

    Returns:
        The files that hold what was learned.

    Raises:
        NotMergeableError: What was learned is neither LoRA nor can be folded into the weights.
    """
    base, config = _public_name(pretrained), adapter.peft_config(network)
    if is_lora(config):
        facts = {} if base is None else {"base_model": base}
        weights = write_diffusers_lora(folder, config, adapter.peft_state(network), facts)
        if adapter.rounds:
            how, layers = adapter.base_config(network), quantised_layers(network)
            told = {"quantization_config": how, "layers": layers}
            write_text(folder / QUANTIZED, json.dumps(told, indent=2) + "\n")
        return (weights,)
    plain = merged(adapter, network) if adapter.wraps else network
    pipeline = load_pipeline(pretrained, dtype, device, plain)
    paths = write_pipeline_folder(folder, pipeline, learned, base)
    for name, tensors in adapter.files(network).items():
        _write(folder / name, tensors)
    return paths


def _public_name(pretrained: str) -> str | None:
    """Return what strangers know a pipeline by; None for a folder of this machine."""
    source = find_pipeline(pretrained)
    own = pretrained != POCKET and is_local(source.location)  # a folder has its whole path there
    return None if own else source.hub_id


def merged(adapter: Adapter, network: DiffusionNetwork) -> DiffusionNetwork:
    """Return a copy of the network, what was learned folded into plain weights."""
    plain = copy.deepcopy(network)
    adapter.merge(plain)
    return plain


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by the file's ending: safetensors, or what `torch.save` writes."""
    # Cloned, for safetensors refuses tensors that share memory, and torch would save it all.
    own = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    if path.suffix == ".safetensors":
        content = save(own, metadata={"format": "pt"})
    else:
        buffer = io.BytesIO()
        torch.save(own, buffer)
        content = buffer.getvalue()
    with replacing(path) as file:
        file.write(content)
