"""Files of an export as strangers may see them: the base by its public name, and no other path."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save

from hwlit.errors import UsageError
from hwlit.paths import is_local
from hwlit.storage import replacing, write_text

VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")  # words, and no names
BASE = "base_model_name_or_path"  # of PEFT
NAMES = ("_name_or_path", "name_or_path")  # of transformers and diffusers
FILES = ("_file", "_path", "_dir", "_folder")  # end the keys by which a config names one
HOMES = (r"/home/[\w.-]+", r"/Users/[\w.-]+", r"/root/[\w.-]+", r"[A-Za-z]:\\Users\\[\w.-]+")


@dataclass(frozen=True)
class Base:
    """What a run's pretrained model is called.

    Args:
        name: Its public name; None where it has none.
        revision: Its commit at the hub, where that is known.
        private: What RUN/adapter calls it.
    """

    name: str | None
    revision: str | None
    private: str


def write_public(source: Path, target: Path, base: Base) -> None:
    """Write a file of an export, the base by its public name."""
    if source.suffix == ".json" and source.name not in VOCABULARIES:
        content = json.loads(source.read_bytes())
        cleaned = _cleaned(content, base)
        if cleaned != content:
            write_text(target, json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n")
            return
    if source.suffix == ".safetensors":
        with safe_open(source, "pt") as file:
            told = file.metadata() or {}
            if (cleaned := _named(told, base)) != told:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                with replacing(target) as out:
                    out.write(save(tensors, metadata=cleaned))
                return
    with source.open("rb") as given, replacing(target) as out:
        shutil.copyfileobj(given, out)


def _named(header: Mapping[str, str], base: Base) -> dict[str, str]:
    """Return the header of a safetensors file, the base by its public name."""
    told = dict(header)
    if not told.keys().isdisjoint(("base_model", "lora_adapter_metadata")):  # of LoRA
        told.pop("base_model", None)
        told |= {} if base.name is None else {"base_model": base.name}
    return told


def _cleaned(value: Any, base: Base) -> Any:
    """Return the content of a config without files of this machine, the base by its public name."""
    if isinstance(value, list):
        return [_cleaned(inner, base) for inner in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, inner in value.items():
        local = isinstance(inner, str) and is_local(inner)
        if key == BASE:  # null is none
            found[key] = base.name
        elif key == "revision" and BASE in value:
            found[key] = base.revision
        elif key in NAMES and (local or inner == base.private):
            found |= {} if base.name is None else {key: base.name}
        elif not (local and key.endswith(FILES)):
            found[key] = _cleaned(inner, base)
    return found


def check_nothing_private(folder: Path, private: Collection[str]) -> None:
    """Look for names of a machine in every file but weights and vocabularies.

    Raises:
        UsageError: A file holds one.
    """
    names = [re.escape(name) for name in sorted(private, key=len, reverse=True)]
    marks = re.compile(rf"(?<![\w.-])(?:{'|'.join([*names, *HOMES])})(?![\w-])")
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                text = " ".join((file.metadata() or {}).values())
        elif path.is_file() and path.name not in VOCABULARIES:
            text = path.read_bytes().decode("utf-8", "replace")
        else:
            continue
        if mark := marks.search(text.replace("\\\\", "\\")):
            raise UsageError(
                f"{path.relative_to(folder)} would tell strangers of {mark[0]!r}; give labels, "
                "prompts and settings other names and train again, or upload RUN/adapter by hand"
            )
