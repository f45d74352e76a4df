"""Patterns of a tokenizer that do not end, or make gigabytes of a line: tried in a child process.

The regular expressions of tokenizer.json go back and forth through a text, some of them for hours.
No limit on time holds within a process, so all but plain parts are tried once, on texts that
make such expressions slow, in a process that may be ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwlit.errors import UsageError
from hwlit.networks import pattern_probe
from hwlit.networks.growth import INSTEAD, checked_parts, texts_of

SECONDS = 60.0  # under any load; the process ends itself after three of the processor
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
) | {"", r"\s+", r"\s", r" {2,}"}
# Parts that do the same to every text, whatever the file says; each may grow a text a little, and
# so stands once at most in what is not tried.
PLAIN = frozenset(
    (
        "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Nmt",
        "BertNormalizer", "Precompiled", "Whitespace", "WhitespaceSplit", "BertPreTokenizer",
        "ByteLevel", "Metaspace", "Digits", "Punctuation", "UnicodeScripts", "WordPiece",
        "ByteFallback", "Fuse", "BPEDecoder", "CTC", "CharDelimiterSplit",
    )
)  # fmt: skip
PUTS_IN = frozenset(("Replace", "Prepend", "Split"))  # plain where they put in little
LONGEST_PUT_IN = 4  # characters: "<unk" is tried, " " and "▁" are not


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
    if path.name == "tekken.json":  # of Mistral; its one pattern becomes that of a pre-tokenizer
        config = tokenizer.get("config")
        pattern = config.get("pattern") if isinstance(config, dict) else None
        split = {"type": "Split", "behavior": "Isolated", "invert": False}
        tokenizer = {"pre_tokenizer": split | {"pattern": {"Regex": pattern}}} if pattern else {}
    parts = checked_parts(path, tokenizer)
    tried = {name: parts[name] for name in ("normalizer", "pre_tokenizer", "decoder")}
    if not all(map(_is_plain, tried.values())):
        _try_out(path, tried, {name: tokenizer.get(name) for name in tried})


def _try_out(
    path: Path, parts: Mapping[str, Sequence[dict[str, Any]]], given: Mapping[str, Any]
) -> None:
    texts = [texts_of(part) for each in parts.values() for part in each]
    patterns = [regex for _, regex, _ in texts if regex]
    literals = [text for literal, _, content in texts for text in (literal, content) if text]
    job = json.dumps({"parts": given, "patterns": patterns, "literals": literals})
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
        strange = next((pattern for pattern in patterns if pattern not in KNOWN), None)
        what = "normaliser" if strange is None else f"pattern {strange[:80]!r}"
        raise UsageError(
            f"the {what} of {path} {why or 'does not end'} on a line of text: {INSTEAD}"
        )


def _is_plain(parts: Sequence[dict[str, Any]]) -> bool:
    """Return whether parts do nothing that has to be tried."""
    same = [part["type"] for part in parts if part["type"] not in PUTS_IN]
    growing = 0
    for number, part in enumerate(parts):
        literal, regex, content = texts_of(part)
        # Another character might become many by what comes after it.
        if regex not in KNOWN or not content.replace("▁", "").isascii():
            return False
        growing += len(content) > max(1, len(literal))
        if len(content) > max(LONGEST_PUT_IN, len(literal)) or growing > 1:
            return False
        if part["type"] == "Precompiled" and any(
            each["type"] not in PUTS_IN for each in parts[number + 1 :]
        ):
            return False
    return len(set(same)) == len(same) and PLAIN.issuperset(same)
