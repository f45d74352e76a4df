"""Patterns of a tokenizer that do not end, or make gigabytes of a line: tried in a child process.

The regular expressions of tokenizer.json go back and forth through a text, some of them for hours.
No limit on time holds within a process, so those that are not known are tried once, on texts that
make such expressions slow, in a process that may be ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.networks import pattern_probe

SECONDS = 60.0  # under any load; the process ends itself after three of the processor
LONGEST_LITERAL = 64  # characters that a normaliser may put for each match, untried
MOST_CHARACTERS = 1_000  # of one word, within which a tokenizer looks for every piece
# As tokenizer.json has them; that of GPT-4 is also of Llama 3, and nearly of Qwen.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KNOWN = frozenset(
    (GPT2, CLIP, rf"<\|startoftext\|>|<\|endoftext\|>|{CLIP}", GPT4, GPT4.replace("{1,3}", ""))
) | {r"\s+", r"\s", r" {2,}"}


def check_patterns(path: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer whose patterns do not end, or that writes a book for a letter.

    Args:
        path: Its file.
        tokenizer: What it holds, as plain data.

    Raises:
        UsageError: It is one.
    """
    if not isinstance(tokenizer, dict):
        raise UsageError(f"{path} is no tokenizer; fetch the model again")
    model = tokenizer.get("model")
    limit = model.get("max_input_chars_per_word") if isinstance(model, dict) else None
    if isinstance(limit, int | float) and limit > MOST_CHARACTERS:
        raise UsageError(
            f"{path} has max_input_chars_per_word: {limit:,}, which takes hours for a long word; "
            f"set it to at most {MOST_CHARACTERS:,} in a copy of the folder"
        )
    parts = {name: tokenizer.get(name) for name in ("normalizer", "pre_tokenizer")}
    if path.name == "tekken.json":  # of Mistral; its one pattern becomes that of a pre-tokenizer
        config = tokenizer.get("config")
        pattern = config.get("pattern") if isinstance(config, dict) else None
        parts["pre_tokenizer"] = (
            {"type": "Split", "pattern": {"Regex": pattern}} if pattern else None
        )
    if all(_is_known(part) for part in parts.values()):
        return
    job = json.dumps({"parts": parts, "patterns": list(_patterns(parts))})
    try:
        done = subprocess.run(
            # Not isolated, for packages may lie where PYTHONPATH says; but never in this folder.
            [sys.executable, "-P", pattern_probe.__file__],
            input=job, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode != 0:
        why = done.stdout.strip() if done is not None else ""
        pattern = next(_patterns(parts), None)
        what = "normaliser" if pattern is None else f"pattern {pattern[:80]!r}"
        raise UsageError(
            f"the {what} of {path} {why or 'does not end'} on a line of text: it would hang or "
            "fill the memory; give a model with another tokenizer"
        )


def _is_known(part: Any) -> bool:
    """Return whether a normaliser or pre-tokeniser does nothing that has to be tried."""
    return all(
        name in KNOWN if kind == "Regex" else len(name) <= LONGEST_LITERAL
        for kind, name in _texts(part)
    )


def _patterns(parts: Any) -> Iterator[str]:
    return (text for kind, text in _texts(parts) if kind == "Regex")


def _texts(data: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of nested data with its key; not recursively, for it may be deep."""
    waiting = [data]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            # Made from the vocabulary's own tables by a fixed rule, and long.
            yield from (
                (name, value)
                for name, value in inner.items()
                if isinstance(value, str) and name != "precompiled_charsmap"
            )
        waiting += (
            inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        )
