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
from transformers import AutoModelForSequenceClassification, AutoTokenizer


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
    labels = json.loads((Path(folder) / "config.json").read_text())["id2label"]
    network = AutoModelForSequenceClassification.from_pretrained(
        base, num_labels=len(labels), dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network.config.pad_token_id = tokenizer.pad_token_id
    return PeftModel.from_pretrained(network, folder).eval()


def logits(folder: str, base: str, texts: list[str], max_length: int) -> list[list[float]]:
    """Return the logits of the texts, computed one by one, so that padding cannot hide anything."""
    model, tokenizer = load(folder, base), AutoTokenizer.from_pretrained(folder)
    rows = []
    with torch.inference_mode():
        for text in texts:
            inputs = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            rows.append(model(**inputs).logits[0].tolist())
    return rows


if __name__ == "__main__":
    found = logits(**json.load(sys.stdin))
    if any(name.partition(".")[0] == "hwlit" for name in sys.modules):
        sys.exit("hwlit was imported: this check proves nothing")
    print(json.dumps(found))
