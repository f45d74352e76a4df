"""A quantised classifier as hwlit itself reads it, for no common format holds these layers.

Layout: `config.json` with the label names, the tokenizer, `quantized.safetensors` with the state
of the whole network, whose metadata says which layer is held how, and a manifest with its hash.
`hwlit export RUN --merged DIR` makes a plain transformers folder of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hwlit.errors import IntegrityError
from hwlit.exports.older_loaders import save_tokenizer
from hwlit.exports.stock_classifier import INTEGERS
from hwlit.storage import verify, write_with_manifest

WEIGHTS = INTEGERS
LAYERS = "hwlit_layers"


def write_quantized_folder(
    folder: Path,
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    layers: Mapping[str, str],
) -> Path:
    """Write a quantised network.

    Args:
        folder: Where to write; made if need be.
        network: The network.
        tokenizer: Saved beside the weights.
        layers: The format of each quantised layer, by its name.

    Returns:
        The file with the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.config.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    # Cloned, for safetensors refuses tensors that share memory.
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in network.state_dict().items()}
    content = save(tensors, metadata={"format": "pt", LAYERS: json.dumps(dict(layers))})

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_with_manifest(folder / WEIGHTS, write, {})
    return folder / WEIGHTS


def is_quantized(folder: Path) -> bool:
    """Return whether a folder holds a quantised network of ours."""
    return (folder / WEIGHTS).is_file()


def read_quantized(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a quantised network, and the format of each quantised layer.

    Raises:
        IntegrityError: The file is damaged.
    """
    path = folder / WEIGHTS
    try:
        verify(path)
    except IntegrityError as error:
        told = str(error).removesuffix("; use another checkpoint")
        raise IntegrityError(f"{told}; quantise the run again") from error
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            layers: dict[str, str] = json.loads(file.metadata()[LAYERS])
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise IntegrityError(f"{path} is not ours ({error}); quantise the run again") from error
    return tensors, layers
