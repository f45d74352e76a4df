"""How much longer a tokenizer may make a text, by what stands in its file.

A few letters there make gigabytes of a line: affixes, texts put in for others, special tokens
around every text. What can be counted is counted here; what cannot, `patterns` tries.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.normalizers import Precompiled

from hwlit.errors import UsageError, is_panic, one_line

LONGEST_TEXT = 256  # characters of an affix or a text put in; those in use have up to 30
LONGEST_ADDED = 1_000  # characters of a token that was added to the vocabulary
LONGEST_REGEX = 10_000
MOST_ADDED = 1_000_000  # characters of all added tokens; Gemma 3 has 120,000
MOST_SPECIAL = 64  # tokens around each text
MOST_PARTS = 64  # of a normaliser, pre-tokeniser, post-processor or decoder
MOST_GROWTH = 4_096  # characters that the texts put in may make of one
LARGEST_CHARSMAP = 2 << 20  # characters; that of T5 and XLM-R has 320,000
LONGEST_MAPPED = 64  # bytes; the longest of Unicode's own has 33
NAMES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
INNER = ("normalizers", "pretokenizers", "processors", "decoders")  # of a sequence
# A tokenizer that knows nothing, to which parts may be given.
EMPTY: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
}  # fmt: skip
INSTEAD = "it would hang or fill the memory; give a model with another tokenizer"


def checked_parts(path: Path, tokenizer: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Refuse a tokenizer whose own texts would make a book of a line.

    Args:
        path: Its file.
        tokenizer: What it holds, as plain data.

    Returns:
        The parts of its normaliser, pre-tokeniser, post-processor and decoder, as the library
        writes them, in the order in which they work.

    Raises:
        UsageError: A text in it is too long, or there are too many of them; it is none.
    """
    model = tokenizer.get("model")
    bare = {name: value for name, value in tokenizer.items() if name != "model"}
    if isinstance(model, dict):
        bare["model"] = {n: v for n, v in model.items() if n not in ("vocab", "merges")}
    _check_texts(path, bare)
    given = {name: tokenizer.get(name) for name in NAMES}
    try:
        read = Tokenizer.from_str(json.dumps({**EMPTY, **given}))
    except BaseException as error:  # of the library no class of its own, or a panic
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise UsageError(f"{path} is no tokenizer ({one_line(error)}); fetch it again") from error
    known = json.loads(read.to_str())
    parts = {name: _flat(known[name]) for name in NAMES}
    for name, each in parts.items():
        if len(each) > MOST_PARTS or _growth(each) > MOST_GROWTH:
            what = f"a {name} of {len(each):,} parts that may make {_growth(each):,.0f} characters"
            raise UsageError(f"{path} has {what} of one: {INSTEAD}")
        for part in each:
            if part["type"] == "Precompiled":
                _check_charsmap(path, part["precompiled_charsmap"])
    copies = max(map(_copies, parts["post_processor"]), default=1)
    special = read.num_special_tokens_to_add(is_pair=False)
    if special > MOST_SPECIAL or copies > 1:
        raise UsageError(
            f"{path} has a post_processor that makes {copies:,} copies of each text and "
            f"{special:,} tokens beside it: {INSTEAD}"
        )
    return parts


def texts_of(part: dict[str, Any]) -> tuple[str, str, str]:
    """Return the literal and the regular expression that a part looks for, and what it puts in."""
    pattern = part.get("pattern")
    found = pattern if isinstance(pattern, dict) else {}
    content = part.get("content", part.get("prepend", ""))
    return found.get("String", ""), found.get("Regex", ""), str(content)


def check_added(where: str, tokens: Iterator[str]) -> None:
    """Refuse added tokens for which a library would look for minutes, or in gigabytes.

    Args:
        where: The file that names them.
        tokens: They.

    Raises:
        UsageError: One is too long, or all of them are.
    """
    total = 0
    for token in tokens:
        total += len(token)
        if len(token) > LONGEST_ADDED or total > MOST_ADDED:
            raise UsageError(
                f"{where} adds a token of {len(token):,} characters, {total:,} with those before "
                f"it, and no tokenizer has more than {LONGEST_ADDED:,} and {MOST_ADDED:,}: "
                f"{INSTEAD}"
            )


def nested_texts(data: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of nested data with the key it lies under; not recursively: it may be deep.

    Args:
        data: Plain data.
    """
    waiting = [("", data)]
    while waiting:
        name, inner = waiting.pop()
        if isinstance(inner, str):
            yield name, inner
        elif isinstance(inner, dict):
            waiting += inner.items()
        elif isinstance(inner, list):
            waiting += ((name, value) for value in inner)


def _check_texts(path: Path, bare: dict[str, Any]) -> None:
    """Refuse a text that is too long for its place."""
    added = bare.get("added_tokens")
    check_added(str(path), (text for _, text in nested_texts(added)))
    limits = {"Regex": LONGEST_REGEX, "precompiled_charsmap": LARGEST_CHARSMAP}
    for name, text in nested_texts({n: v for n, v in bare.items() if n != "added_tokens"}):
        if len(text) > (limit := limits.get(name, LONGEST_TEXT)):
            raise UsageError(
                f"{path} has {name}: {text[:20]!r}... of {len(text):,} characters, and none in use "
                f"has more than {limit:,}: {INSTEAD}"
            )


def _flat(part: Any) -> list[dict[str, Any]]:
    """Return the parts of a normaliser or the like, in the order in which they work."""
    found, waiting = [], [part]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict) and inner["type"] == "Sequence":
            waiting += [each for name in INNER for each in reversed(inner.get(name, []))]
        elif isinstance(inner, dict):
            found.append(inner)
    return found


def _growth(parts: list[dict[str, Any]]) -> float:
    """Return the most that parts may make of one character, Unicode's own forms aside."""
    growth = 1.0
    for part in parts:
        literal, _, content = texts_of(part)
        growth *= max(1.0, len(content) / max(1, len(literal)))
        growth *= 2 if part["type"] == "ByteLevel" else 1
    return growth


def _copies(processor: dict[str, Any]) -> int:
    return sum("Sequence" in piece for piece in processor.get("single", [{"Sequence": {}}]))


def _check_charsmap(path: Path, charsmap: str) -> None:
    """Refuse a table of characters that puts many in for one.

    Source of its layout: sentencepiece's normalizer.cc; the size of a trie, the trie, and what it
    leads to, each ended by NUL.
    """
    try:
        table = base64.b64decode(charsmap)
        pieces = table[4 + int.from_bytes(table[:4], "little") :].split(b"\0")
        longest = max(map(len, pieces))
        mapped = Precompiled(table) if longest <= LONGEST_MAPPED else None
        found = next((c for c in _characters() if mapped is None or _grows(mapped, c)), None)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise UsageError(
            f"{path} has a damaged precompiled_charsmap ({one_line(error)}); fetch it again"
        ) from error
    if found is not None:
        raise UsageError(
            f"{path} has a precompiled_charsmap that puts up to {longest:,} bytes in for one "
            f"character: {INSTEAD}"
        )


def _characters() -> Iterator[str]:
    """Yield the characters of Unicode's first plane, but for surrogates."""
    yield from map(chr, range(1, 0xD800))
    yield from map(chr, range(0xE000, 0x10000))


def _grows(mapped: Precompiled, character: str) -> bool:
    length = len(mapped.normalize_str(character))
    return length > 4 and length > len(unicodedata.normalize("NFKD", character)) + 2
