"""A small Llama made from a config, with random weights, where no network is at hand.

16 layers as Llama 3.2 1B, so that what is said in layers and projections means the same in both;
4 million parameters in the layers and as many in the embeddings of MiniLM's vocabulary, whose
tokenizer it takes. It knows no language: it shows what a method costs, and little of its quality.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save
from transformers import LlamaConfig, LlamaModel

from hwlit.networks.minilm import minilm_path
from hwlit.storage import cache_directory, replacing, write_text

NAME = "small-llama"
SEED = 0
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
CONFIG = LlamaConfig(
    vocab_size=30522, hidden_size=128, intermediate_size=344, num_hidden_layers=16,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    pad_token_id=0, bos_token_id=101, eos_token_id=102,  # of MiniLM's tokenizer
)  # fmt: skip


@cache
def small_llama_path() -> Path:
    """Return the folder of the small Llama, in the cache; made where it is not there yet.

    Each file is written whole and follows from the seed alone, so that two processes that make it
    at once make the same.

    Raises:
        UsageError: The offline MiniLM, whose tokenizer it takes, is not installed.
        ResourceError: The cache cannot be written.
    """
    folder, source = cache_directory() / NAME, minilm_path()
    if (folder / "config.json").is_file():
        return folder
    for name in TOKENIZER:
        if (source / name).is_file():
            with replacing(folder / name) as file:
                file.write((source / name).read_bytes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        weights = LlamaModel(CONFIG).state_dict()
    with replacing(folder / "model.safetensors") as file:
        file.write(save({name: tensor.contiguous() for name, tensor in weights.items()}))
    write_text(folder / "config.json", CONFIG.to_json_string())  # last: from now on it is there
    return folder
