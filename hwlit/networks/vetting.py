"""What the files of a stranger's model ask for, looked at as data before a library reads them.

transformers, diffusers and PEFT take names from these files and import packages, fetch kernels,
open other files or build other models by them. What does so is named and refused; see `allowed`.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hwlit.errors import IntegrityError, UsageError, is_out_of_memory, one_line
from hwlit.networks.adapter_settings import check_settings
from hwlit.networks.allowed import ADAPTER_RULES, RULES, Rule
from hwlit.networks.growth import check_added, nested_texts
from hwlit.networks.patterns import check_patterns
from hwlit.networks.plain_files import (
    LARGEST_CONFIG,
    check_plain,
    read_object,
    read_plain,
    too_large,
)

LARGEST_VOCABULARY = 64 << 20  # bytes; that of Gemma 3, the largest in use, is 33 MB
# Deeper or wider than any network there is; a library would build it before it looks at a weight.
LARGEST = {
    "layers": 1_000,
    "n_layer": 1_000,
    "depth": 1_000,
    "num_labels": 1_000_000,
    "num_train_timesteps": 100_000,
}
LARGEST |= {"attention_types": 1_000}  # of GPT-Neo: how often each kind of layer comes
# Of any other whole number, by which a loop may count; those of these names may be larger.
LARGEST_NUMBER = 20_000_000
NO_COUNTS = re.compile(r".*(theta|base|position|max|length|window|seed|key|param|_id|token).*")
LARGEST |= {"num_experts": 10_000, "num_local_experts": 10_000, "n_routed_experts": 10_000}
PREPROCESSORS = ("preprocessor_config.json", "processor_config.json")
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What the libraries read; other files of a folder are no concern of ours.
CONFIGS = (
    "config.json", "model_index.json", "scheduler_config.json", "generation_config.json",
    "tokenizer_config.json", "special_tokens_map.json", *PREPROCESSORS, ADAPTER,
)  # fmt: skip
INDEXES = ("model.safetensors.index.json", "diffusion_pytorch_model.safetensors.index.json")
# That of a variant, such as fp16.
INDEX = re.compile(r"(model|diffusion_pytorch_model)\.safetensors\.index(\.\w+)?\.json")
PATTERNS = ("tokenizer.json", "tekken.json")
VOCABULARIES = (
    *PATTERNS, "vocab.json", "added_tokens.json", "vocab.txt", "merges.txt", "tokenizer.model",
    "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
# Of whatever the libraries read beside weights; a class of tokenizers has file names of its own.
READ = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".codes", ".tokenizer", ".spm", ".bpe")
TEMPLATES = "additional_chat_templates"  # a folder beside tokenizer_config.json, read with it
WORDS = ("tokenizer_config.json", "special_tokens_map.json")


def vet(folder: Path) -> None:
    """Refuse a folder of a model, tokenizer or adapter whose files ask for more than to be read.

    Args:
        folder: The folder; of folders within it only that of chat templates is looked at.

    Raises:
        UsageError: A key names code, packages, kernels or other files; a size is beyond reason; a
            pattern of the tokenizer does not end; a file is no JSON.
        IntegrityError: A list of weight files names others.
    """
    within = folder / TEMPLATES
    paths = [*folder.iterdir(), *(within.iterdir() if within.is_dir() else ())]
    files = {str(p.relative_to(folder)): p.stat() for p in paths if p.exists()}
    stamp = tuple(sorted((name, at.st_size, at.st_mtime_ns) for name, at in files.items()))
    _vet(folder, stamp)


@cache  # a run asks several times, and a vocabulary may take a second to read
def _vet(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> None:
    templates = 0
    for name, size, _ in stamp:
        path = folder / name
        if path.suffix in (*READ, ".safetensors", ".bin"):
            check_plain(path)
        if path.suffix == ".jinja":
            templates += size
        small = name in CONFIGS or INDEX.fullmatch(name)
        largest = LARGEST_CONFIG if small else LARGEST_VOCABULARY
        if path.suffix in READ and size > largest:
            raise too_large(path, size, largest)
        if templates > LARGEST_CONFIG:
            raise too_large(path, templates, LARGEST_CONFIG)
        if name in PATTERNS:
            check_patterns(path, read_plain(path, LARGEST_VOCABULARY))
        if name == "added_tokens.json":
            check_added(str(path), iter(read_object(path)))
        if name in WORDS:
            found = {n: v for n, v in read_object(path).items() if n != "chat_template"}
            check_added(str(path), (text for _, text in nested_texts(found)))
        if INDEX.fullmatch(name):
            _check_index(path)
        if name in CONFIGS:
            rules = {**RULES, **ADAPTER_RULES} if name == ADAPTER else RULES
            found = read_plain(path)
            vet_values(str(path), found, rules)
            if name != ADAPTER:
                check_counts(str(path), found)
            if isinstance(found, dict) and found.get("auto_map"):
                told = f"{path} names code of its own (auto_map), which is not run"
                print(f"hwlit: {told}; what transformers knows takes its place", file=sys.stderr)
    if (folder / ADAPTER).is_file():
        _check_rank(folder)


def vet_values(where: str, values: Any, rules: Mapping[str, Rule] = RULES) -> None:
    """Refuse a config that asks for more than to be read.

    Args:
        where: What to call it in an error.
        values: It, as plain data.
        rules: What its keys may hold.

    Raises:
        UsageError: It does.
    """
    for name, value in _pairs(values):
        rule = rules.get(name)
        if rule is not None and not rule.allows(value):
            told = json.dumps(value)
            told = told if len(told) < 80 else f"{told[:80]}..."
            raise UsageError(f"{where} has {name}: {told}, {rule.why}; {rule.instead}")
        largest = LARGEST.get(name, LARGEST["layers"] if name.endswith("layers") else None)
        if largest is not None and isinstance(value, int | float) and value > largest:
            raise UsageError(
                f"{where} has {name}: {value:,}, and no model has more than {largest:,}; fetch it "
                "again"
            )


def check_counts(where: str, values: Any) -> None:
    """Refuse numbers that nothing in a network has so many of: a library would count up to them.

    Args:
        where: What to call the config in an error.
        values: It, as plain data.

    Raises:
        UsageError: It holds one.
    """
    for name, value in _pairs(values):
        if NO_COUNTS.fullmatch(name):
            continue
        numbers = [each for each in _listed(value) if isinstance(each, int)]
        summed, most = name == "attention_types", LARGEST.get(name, LARGEST_NUMBER)
        asked = sum(numbers) if summed else max(numbers, default=0)
        if asked > most:
            raise UsageError(
                f"{where} has {name}: {asked:,}, and no model has more than {most:,}; fetch it "
                "again"
            )


def _listed(value: Any) -> Iterator[Any]:
    """Yield a value, or what lies in a list and in lists within it."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, list):
            waiting += inner
        else:
            yield inner


def _pairs(values: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of nested data with its value; not recursively, for it may be deep."""
    waiting = [values]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield from inner.items()
        waiting += (
            inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        )


def held_sizes(folder: Path) -> list[int]:
    """Return how many values each tensor of a folder's weight files holds, by their headers.

    Raises:
        IntegrityError: One is damaged.
    """
    # A file once, whatever links lead to it, and in it a name once: what a network may be made of.
    files = {path.resolve(): path for path in sorted(folder.glob("*.safetensors"))}
    found = {name: shape for path in files.values() for name, shape in shapes(path).items()}
    return [math.prod(shape) for shape in found.values()]


def shapes(path: Path) -> dict[str, list[int]]:
    """Return the shapes of the tensors of a safetensors file by name.

    Raises:
        IntegrityError: It is damaged.
    """
    with _opened(path) as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        check_plain(path)
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise IntegrityError(f"{path} is damaged ({one_line(error)}); fetch it again") from error


def _check_index(path: Path) -> None:
    """Refuse a list of weight files that names files elsewhere, or none that are there."""
    found = read_plain(path)
    files = found.get("weight_map") if isinstance(found, dict) else None
    names = set(files.values()) if isinstance(files, dict) else {None}
    for name in names:
        if (
            not isinstance(name, str)
            or Path(name).name != name
            or not name.endswith(".safetensors")
        ):
            raise IntegrityError(
                f"{path} names {name!r} as a file of weights, which is no .safetensors beside it; "
                "fetch the model again"
            )


def _check_rank(folder: Path) -> None:
    """Refuse an adapter whose config makes larger layers than its weights fill."""
    path = folder / ADAPTER
    config = read_plain(path)
    if not isinstance(config, dict):
        raise IntegrityError(f"{path} is no JSON object; bring the run's own file back")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise IntegrityError(
            f"{folder} holds no {ADAPTER_WEIGHTS}, and weights in another format, which could hold "
            "code, are not read; bring the run's own file back"
        )
    check_settings(path, config, [*shapes(folder / ADAPTER_WEIGHTS).values()])


def vet_lora(path: Path) -> None:
    """Refuse a LoRA file of diffusers whose header asks for more than to be read.

    Args:
        path: The file; PEFT makes its layers by the settings of each part in its header.

    Raises:
        UsageError: It does.
        IntegrityError: It is damaged.
    """
    header = metadata(path).get("lora_adapter_metadata", "{}")
    try:
        found = json.loads(header)
        settings = [{name.rpartition(".")[2]: value} for name, value in found.items()]
    except (ValueError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{path} is damaged ({one_line(error)}); fetch it again") from error
    sizes = [*shapes(path).values()]
    for each in settings:  # one name may stand for several parts
        vet_values(str(path), each, {**RULES, **ADAPTER_RULES})
        check_settings(path, each, sizes)


def metadata(path: Path) -> dict[str, str]:
    """Return the header of a safetensors file.

    Raises:
        IntegrityError: It is damaged.
    """
    with _opened(path) as file:
        return file.metadata() or {}
