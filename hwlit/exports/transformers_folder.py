"""A plain transformers model folder, as `AutoModel....from_pretrained` reads it.

Layout: `config.json` with the label names, `model.safetensors`, the tokenizer, and
`learned.safetensors` with the learned tensors alone, where they are not the whole model.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hwlit.exports.older_loaders import add_older_names, save_tokenizer
from hwlit.storage import replacing

LEARNED = "learned.safetensors"


def write_transformers_folder(
    folder: Path,
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    learned: dict[str, Tensor],
) -> Path:
    """Write a network whose weights are plain.

    Args:
        folder: Where to write; made if need be.
        network: The network; nothing wrapped or quantised.
        tokenizer: Saved beside the weights.
        learned: What was learned, by name in the network.

    Returns:
        The file that holds what was learned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder, network, tokenizer)
    if set(learned) >= {name for name, _ in network.named_parameters()}:
        return folder / "model.safetensors"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in learned.items()}
    with replacing(folder / LEARNED) as file:
        file.write(save(tensors, metadata={"format": "pt"}))
    return folder / LEARNED


def write_whole(folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a network with its config, and its tokenizer."""
    network.save_pretrained(folder)
    add_older_names(folder)
    save_tokenizer(tokenizer, folder)
