"""Reload an exported text classifier with nothing but transformers and peft, as a user would.

Run as a script in a fresh interpreter: it must not import hwlit, so that it proves what a stranger
gets. Reads a job (JSON) from standard input, prints the logits as the last line of its output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.quantizers.auto import AutoQuantizationConfig


def load(folder: str, base: str) -> Any:
    """Return the exported classifier in fp32 and eval mode.

    Args:
        folder: The exported folder.
        base: Location of the pretrained model, for a folder that holds only an adapter.
    """
    if not (Path(folder) / "adapter_config.json").exists():
        return AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32
        ).eval()
    config = AutoConfig.from_pretrained(folder)  # as the model card says: label names and padding
    quantization, path = {}, Path(folder) / "quantization_config.json"
    if path.exists():  # how the base was quantised that the adapter was trained on
        told = AutoQuantizationConfig.from_dict(json.loads(path.read_text()))
        quantization = {"quantization_config": told}
    network = AutoModelForSequenceClassification.from_pretrained(
        base, config=config, dtype=torch.float32, **quantization
    )
    for layer in network.modules():
        # bitsandbytes' kernel for CPUs with AVX512-BF16 rounds further, and takes no small layers.
        if "support_avx512bf16_for_cpu" in vars(layer):
            layer.support_avx512bf16_for_cpu = False
    return PeftModel.from_pretrained(network, folder).eval()


def blank_token(tokenizer: Any) -> int:
    """Return what stands for a text without any token: one that ends texts, where there is one."""
    special = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return next((token for token in special if isinstance(token, int)), 0)


def encode(tokenizer: Any, texts: list[str], max_length: int) -> Any:
    """Return texts as one padded batch, those without any token as `blank_token`.

    An empty text has none where the tokenizer adds no special tokens, and no model reads nothing.
    """
    rows = tokenizer(texts, truncation=True, max_length=max_length)
    instead = {"input_ids": blank_token(tokenizer), "attention_mask": 1, "token_type_ids": 0}
    for name, values in rows.items():
        rows[name] = [row or [instead[name]] for row in values]
    return tokenizer.pad(rows, return_tensors="pt")


def logits(
    folder: str, base: str, texts: list[str], max_length: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the logits of the texts twice: computed one by one, and in one padded batch."""
    model, tokenizer = load(folder, base), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        alone = [
            model(**encode(tokenizer, [text], max_length)).logits[0].tolist() for text in texts
        ]
        batch = model(**encode(tokenizer, texts, max_length)).logits.tolist()
    return alone, batch


if __name__ == "__main__":
    found = logits(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
