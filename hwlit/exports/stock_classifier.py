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
    network = AutoModelForSequenceClassification.from_pretrained(
        base, config=config, dtype=torch.float32
    )
    return PeftModel.from_pretrained(network, folder).eval()


def logits(
    folder: str, base: str, texts: list[str], max_length: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the logits of the texts twice: computed one by one, and in one padded batch."""
    model, tokenizer = load(folder, base), AutoTokenizer.from_pretrained(folder)
    cut = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    with torch.inference_mode():
        alone = [model(**tokenizer(text, **cut)).logits[0].tolist() for text in texts]
        batch = model(**tokenizer(texts, padding=True, **cut)).logits.tolist()
    return alone, batch


if __name__ == "__main__":
    found = logits(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
