"""What the keys of a stranger's configs may hold: nothing that a library would run or open.

Source: `attn_implementation` and `auto_map` in transformers.configuration_utils and models.auto,
`quantization_config` in transformers.quantizers.auto, and in PEFT the configs of LoRA
(`megatron_core` in tuners.lora.tp_layer, `corda_config`), X-LoRA (`adapters`) and prompt tuning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

GIVE = "give a model without it, or take it out of a copy of the folder"


TAKE_OUT = "take it out of a copy of the folder"


@dataclass(frozen=True)
class Rule:
    """What keys may hold.

    Args:
        allows: Returns whether a value is harmless.
        why: What is wrong with other values.
        instead: What to do.
    """

    allows: Callable[[Any], bool]
    why: str
    instead: str = GIVE


def _one_of(*known: object) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, dict | list) and value in known


def _all_of(allows: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Allow what holds for a value, or for each of a mapping from a part of the network to one."""
    return lambda value: all(map(allows, value.values() if isinstance(value, dict) else [value]))


def _named(pattern: str) -> Callable[[Any], bool]:
    return lambda value: (
        value is None or (isinstance(value, str) and re.fullmatch(pattern, value) is not None)
    )


def _files_of_none(value: Any) -> bool:
    return not (
        isinstance(value, dict) and (value.get("cache_file") or value.get("covariance_file"))
    )


UNSET = _one_of(None, False)
IMPORTED = "by which a library imports or fetches code"
OPENED = "by which a library opens other files"
KERNEL = Rule(_all_of(_one_of("eager", "sdpa", None)), IMPORTED, "set it to sdpa in a copy")
QUANTISED = Rule(
    lambda value: value is None,
    "so its weights are quantised already",
    "give the model in full precision, and quantise it by --model.adapter qlora_4bit or qlora_8bit",
)
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"), KERNEL
    ),
    **dict.fromkeys(
        ("experts_implementation", "_experts_implementation", "_experts_implementation_internal"),
        Rule(
            _all_of(_one_of("eager", "batched_mm", "grouped_mm", None)),
            IMPORTED,
            "set it to eager in a copy",
        ),
    ),
    **dict.fromkeys(("quantization_config", "compression_config"), QUANTISED),
    **dict.fromkeys(
        (
            "kernel_config", "use_kernels", "allow_all_kernels", "trust_remote_code",
            "use_timm_backbone", "use_pretrained_backbone", "custom_generate", "custom_pipelines",
            "fusion_config", "distributed_config", "use_flashpack", "gguf_file",
        ),
        Rule(UNSET, IMPORTED),
    ),
    **dict.fromkeys(
        ("transformers_weights", "configuration_files", "fast_tokenizer_files"), Rule(UNSET, OPENED)
    ),
    **dict.fromkeys(
        ("return_dict", "use_return_dict"),
        Rule(_one_of(True, None), "by which a network answers otherwise", TAKE_OUT),
    ),
    **dict.fromkeys(
        ("torchscript", "chunk_size_feed_forward"),
        Rule(_one_of(False, 0, None), "by which a network answers otherwise", TAKE_OUT),
    ),
    "tokenizer_class": Rule(
        _named(r"(?!Auto)\w*Tokenizer(Fast)?|TokenizersBackend|PythonBackend|SentencePieceBackend"),
        "which is no class of a tokenizer",
    ),
    **dict.fromkeys(
        ("image_processor_type", "feature_extractor_type"),
        Rule(
            _named(r"(?!Auto)\w*(ImageProcessor|FeatureExtractor)(Fast|Pil)?"),
            "which is no class that prepares pictures",
        ),
    ),
}  # fmt: skip
ADAPTER_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("adapters", "tokenizer_name_or_path", "prompt_tuning_init_state_dict_path"),
        Rule(UNSET, OPENED),
    ),
    "megatron_config": Rule(UNSET, IMPORTED),
    "megatron_core": Rule(_one_of("megatron.core", None), IMPORTED),
    "layer_replication": Rule(UNSET, "by which layers are made several times"),
    **dict.fromkeys(("corda_config", "lora_ga_config", "eva_config"), Rule(_files_of_none, OPENED)),
    "init_lora_weights": Rule(
        _one_of(None, True, False, "gaussian", "pissa", "olora", "orthogonal"),
        "by which the layers are made anew, from other data or without end",
    ),
}
