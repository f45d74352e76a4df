"""The model card of an exported adapter: what it is, how to load it, what it scored."""

from __future__ import annotations

import json
from typing import Any

from huggingface_hub import ModelCardData

LOAD_PEFT = """```python
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

folder = "path/to/this/folder"
config = AutoConfig.from_pretrained(folder)  # label names and padding
base = AutoModelForSequenceClassification.from_pretrained({base}, config=config)
model = PeftModel.from_pretrained(base, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
```"""

LOAD_PLAIN = """```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained("path/to/this/folder").eval()
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```"""


def text_model_card(record: dict[str, Any], peft: bool) -> str:
    """Return the README.md of an exported text classifier.

    Args:
        record: The run's record as plain data; the figures are taken from it.
        peft: Whether the folder holds a PEFT adapter rather than a whole model.
    """
    model, adapter, data = record["model"], record["adapter"], record["data"]
    front = ModelCardData(
        base_model=model["hub_id"],
        library_name="peft" if peft else "transformers",
        pipeline_tag="text-classification",
        tags=["hwlit", adapter["name"].lower()],
    )
    load = (LOAD_PEFT if peft else LOAD_PLAIN).format(base=json.dumps(model["hub_id"]))
    settings = {k: v for k, v in adapter.items() if k not in ("class", "name", "sites", "heads")}
    lines = [
        f"---\n{front.to_yaml()}\n---",
        f"# {adapter['name']} on {model['hub_id']}",
        f"Classifies texts as {', '.join(model['labels'])}. Trained by hwlit "
        f"{record['versions']['hwlit']} on {', '.join(data['source'])}, seed {record['seed']}.",
        "## Load",
        load,
        "## Result",
        _results(record["readings"]),
        f"Settings: `{json.dumps(settings)}`",
        f"Intervals are 95 %. Training data: {data['rows']['train']} rows; test: "
        f"{data['rows']['test']} rows; always saying the commonest class scores "
        f"{data['majority_class_accuracy']:.3f}.",
    ]
    return "\n\n".join(lines) + "\n"


def _results(readings: dict[str, Any]) -> str:
    rows = ["| measure | value | interval |", "|---|---|---|"]
    for name in ("test/accuracy", "test/f1_macro", "test/f1_positive", "test/loss"):
        if name in readings:
            reading = readings[name]
            interval = f"{reading['low']:.3f} - {reading['high']:.3f}" if "low" in reading else ""
            rows.append(f"| {name} | {reading['value']:.4f} | {interval} |")
    return "\n".join(rows)
