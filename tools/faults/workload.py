"""The run that the campaigns stop: a small BERT of random weights on made-up tweets.

Dropout, shuffling by length, warm-up and schedule are on, so that a state that is not restored
shows in the weights.
"""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = [
    "storm", "fire", "flood", "calm", "sunny", "picnic",
    "the", "a", "is", "near", "town", "today",
]  # fmt: skip


def write_model(folder: Path) -> None:
    """Write a BERT of two small layers, and a tokenizer for `WORDS`."""
    names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        unk_token="[UNK]", model_max_length=40,
    ).save_pretrained(folder)  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = BertModel(
            BertConfig(
                vocab_size=len(names), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=64, max_position_embeddings=40, pad_token_id=0,
            )
        )  # fmt: skip
    network.save_pretrained(folder)


def write_tweets(path: Path, rows: int) -> None:
    """Write tweets whose label follows from their first word."""
    rng = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "target"])
        for row in range(rows):
            first = rng.choice(WORDS[:3] if row % 2 else WORDS[3:6])
            rest = [rng.choice(WORDS[6:]) for _ in range(rng.randint(3, 12))]
            writer.writerow([" ".join([first, *rest, str(row)]), row % 2])


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of names and bits."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
