"""What transformers 4 and PEFT before 0.15 need in the files that transformers 5 and PEFT write.

Each is a name that both know, or a key left out that says nothing. Checked by
`tools/old_loaders.py` in an environment with these versions.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from peft import PeftConfig
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hwlit.storage import write_text

# transformers 5 calls it TokenizersBackend, and knows the older name too.
FAST, FAST_BEFORE = "TokenizersBackend", "PreTrainedTokenizerFast"
OF_LOADING = ("is_local", "local_files_only")  # how the tokenizer was read, and nothing of it
# Matters only beside `use_qalora`. `peft_version` stays: OFT is read by it.
BESIDE = ("qalora_group_size",)


def save_config(config: PreTrainedConfig, folder: Path) -> None:
    """Write config.json, the settings of rotary positions by their older names, too."""
    config.save_pretrained(folder)
    add_older_names(folder)


def add_older_names(folder: Path) -> None:
    """Add to a config.json the older names of the settings of rotary positions.

    Without them transformers 4 takes its defaults, and computes other logits without a word.
    """
    path = folder / "config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    rope = written.get("rope_parameters")
    if isinstance(rope, dict):
        _rewrite(path, _older_rope(rope, written.get("model_type")) | written)


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer with names that transformers 4 knows, too."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    for name in OF_LOADING:
        written.pop(name, None)
    if written.get("tokenizer_class") == FAST:
        written["tokenizer_class"] = FAST_BEFORE
        # The older class would give token types to models that take none.
        written.setdefault("model_input_names", tokenizer.model_input_names)
    if isinstance(extra := written.get("extra_special_tokens"), list):
        del written["extra_special_tokens"]
        written["additional_special_tokens"] = extra
    _rewrite(path, written)


def save_adapter_config(config: PeftConfig, folder: Path) -> None:
    """Write adapter_config.json without the keys of features that are off.

    Older versions of PEFT refuse, or warn of, keys that they do not know.
    """
    config.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    default = {
        field.name: field.default_factory()
        if field.default_factory is not dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(config)
    }
    kept = {
        name: value
        for name, value in written.items()
        if name == "revision"  # of the base; every version knows it
        or not (name in BESIDE or (_is_off(value) and value == default.get(name)))
    }
    if written.get("use_qalora"):
        kept["qalora_group_size"] = written["qalora_group_size"]
    _rewrite(path, kept)


def _is_off(value: Any) -> bool:
    return value is None or value is False or value in ({}, [])


def _older_rope(rope: dict[str, Any], model_type: Any) -> dict[str, Any]:
    """Return the settings of rotary positions by their names in transformers 4."""
    if "rope_theta" not in rope:  # one set for each kind of layer
        if model_type != "modernbert":
            return {}
        full, near = rope["full_attention"], rope["sliding_attention"]
        return {"global_rope_theta": full["rope_theta"], "local_rope_theta": near["rope_theta"]}
    own = ("rope_theta", "partial_rotary_factor")
    older = {name: rope[name] for name in own if name in rope}
    if model_type == "gpt_neox":
        older["rotary_emb_base"] = rope["rope_theta"]
        older["rotary_pct"] = rope.get("partial_rotary_factor", 1.0)
    if rope.get("rope_type", "default") != "default":
        older["rope_scaling"] = {name: value for name, value in rope.items() if name not in own}
    return older


def _rewrite(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
