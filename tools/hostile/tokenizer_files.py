"""Tokenizers of strangers that make much of little: by affixes, tables, templates, sizes."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.hostile.case import Hostile, Stock

PREDICT = ("predict", "evil", "--text", "a storm near aaaa town")
FILE = "tokenizer.json"
HOLES = 6 << 30  # bytes of a file that takes no room on the disk


def cases() -> list[Hostile]:
    """Return the cases."""
    return [*_parts(), *_words(), *_sizes(), *_bases()]


def _case(name: str, told: str, change: Callable[[Path], None], code: int = 2) -> Hostile:
    """Return a case in which the adapter of a run is changed."""

    def prepare(here: Path, stock: Stock) -> None:
        change(stock.copy("finished", here / "evil") / "adapter")

    return Hostile(f"a tokenizer with {name}", "answer", PREDICT, (code,), told, prepare)


def _set(file: str = FILE, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        found = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(found | values))

    return change


def _parts() -> list[Hostile]:
    """Return normalisers and the like, each of whose parts looks harmless."""

    def sequence(name: str, *parts: Any) -> dict[str, Any]:
        inner = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}
        inner |= {"decoder": "decoders", "post_processor": "processors"}
        return {name: {"type": "Sequence", inner[name]: list(parts)}}

    def replace(literal: str, content: str, **key: str) -> dict[str, Any]:
        return {"pattern": key or {"String": literal}, "content": content, "type": "Replace"}

    bytes_ = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
    bytes_ |= {"use_regex": False}
    ligature = replace("a", "\ufdfa")  # which NFKC writes with 18 letters
    compatible = {"type": "NFKC"}
    apart = [replace(old, "\ufdfa") for old in "\u0635\u0644\u0649"]
    untyped = {"pattern": {"String": "a"}, "content": "a" * 200}
    found = {
        "a letter for 64, five times": sequence("normalizer", *[replace("a", "a" * 64)] * 5),
        "a letter for 200, by a part without a type": {
            "normalizer": {"normalizers": [untyped, untyped]}
        },
        "a known pattern for 64 blanks": sequence(
            "normalizer", *[replace("", " " * 64, Regex=r"\s")] * 5
        ),
        "blanks that double": sequence("normalizer", *[replace(" ", "  ")] * 40),
        "blanks that double, for a while": sequence("normalizer", *[replace(" ", "  ")] * 11),
        "ligatures taken apart again and again": sequence(
            "normalizer", ligature, compatible, *apart, compatible, *apart, compatible
        ),
        "bytes written as bytes": sequence("pre_tokenizer", *[bytes_] * 40),
        "bytes written as bytes, for a while": sequence("pre_tokenizer", *[bytes_] * 11),
        "a million parts": sequence("normalizer", *[compatible] * 100_000),
        "a word for a book": {"normalizer": replace("storm", "x" * 10**6)},
        "a decoder that goes back for ever": {"decoder": replace("", "", Regex="(.*)*x")},
    }
    for name, start in (("a letter", "a"), ("another letter", "q"), ("any letter", "\u0436")):
        table = {"type": "Precompiled", "precompiled_charsmap": _charsmap(start, b"b" * 60)}
        found[f"a table that puts 60 in for {name}"] = {"normalizer": table}
    table = {"type": "Precompiled", "precompiled_charsmap": _charsmap("a", b"b" * 1_000_000)}
    found["a table that puts a million in"] = {"normalizer": table}
    broken = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\0").decode()}
    found["a table that is none"] = {"normalizer": broken}
    special = {"[CLS]": {"id": "[CLS]", "ids": [1] * 10**5, "tokens": ["[CLS]"] * 10**5}}
    text, mark = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[CLS]"}}
    mark["SpecialToken"]["type_id"] = 0  # type: ignore[assignment]
    template = {"type": "TemplateProcessing", "special_tokens": special}
    template["pair"] = [text, {"Sequence": {"id": "B", "type_id": 0}}]
    found["100,000 tokens around each text"] = {
        "post_processor": template | {"single": [mark, text]}
    }
    few = {"[CLS]": {"id": "[CLS]", "ids": [1] * 40, "tokens": ["[CLS]"] * 40}}
    beyond = {"post_processor": template | {"single": [mark, text], "special_tokens": few}}
    found["each text twice, again and again"] = sequence(
        "post_processor", *[template | {"single": [text, text], "special_tokens": {}}] * 30
    )
    cases = [_case(name, FILE, _set(**values)) for name, values in found.items()]
    told = "40 around each"  # where the run cuts texts at 32
    return [*cases, _case("more tokens around a text than are read", told, _set(**beyond), 5)]


def _charsmap(letter: str, content: bytes) -> str:
    """Return a table that puts a text in for one letter: a double array, as darts-clone has it."""
    units, base, encoded = [0] * 1024, 0, letter.encode()
    for number, byte in enumerate(encoded, start=1):
        place, offset = base ^ byte, 256 * number
        units[place] = byte | (number == len(encoded)) << 8 | offset << 10
        base = place ^ offset
    trie = struct.pack("<1024I", *units)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + content + b"\0").decode()


def _words() -> list[Hostile]:
    """Return affixes and words of any length."""
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "s": 4}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": words}
    model |= {"max_input_chars_per_word": 1000, "continuing_subword_prefix": "#" * 10**6}
    pairs = {"type": "BPE", "vocab": words, "merges": [], "end_of_word_suffix": "x" * 10**6}
    token = {"id": 5, "special": True, "normalized": False, "single_word": False}
    token |= {"lstrip": False, "rstrip": False}
    many = [token | {"id": n, "content": f"{n:0900}"} for n in range(5, 2_000)]
    long = {str(n): n for n in range(10)} | {"x" * 10**6: 11}
    return [
        _case("a prefix of a million letters", FILE, _set(model=model)),
        _case("a suffix of a million letters", FILE, _set(model=pairs)),
        _case(
            "an added token of a million letters",
            FILE,
            _set(added_tokens=[token | {"content": "x" * 10**6}]),
        ),
        _case("added tokens of two million letters", FILE, _set(added_tokens=many)),
        _case(
            "a padding token of a million letters",
            "tokenizer_config.json",
            _set("tokenizer_config.json", pad_token="x" * 10**6),
        ),
        _case(
            "a word of a million letters beside it",
            "added_tokens.json",
            _set("added_tokens.json", **long),
        ),
    ]


def _sizes() -> list[Hostile]:
    """Return files of gigabytes of holes."""

    def holes(file: str) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).touch()
            os.truncate(folder / file, HOLES)

        return change

    files = (
        "chat_template.jinja", "additional_chat_templates/tool.jinja", "tiktoken.model",
        "vocab-src.json", "chat_template.json", "bpe.codes", "prophetnet.tokenizer",
    )  # fmt: skip
    return [_case(f"a {file} of {HOLES >> 30} GiB", "bytes", holes(file)) for file in files]


def _bases() -> list[Hostile]:
    """Return bases whose tokenizer and network do not belong together."""

    def case(name: str, told: str, change: Callable[[Path], None]) -> Hostile:
        def prepare(here: Path, stock: Stock) -> None:
            change(stock.copy("model", here / "evil"))

        arguments = ("fit", "SMALL", "--model.pretrained", "evil")
        return Hostile(f"a base with {name}", "answer", arguments, (2,), told, prepare)

    unknown = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "nope"}
    return [
        case(
            "a padding token beyond its network",
            "has 16 rows",
            _set("tokenizer_config.json", pad_token="<new>"),
        ),
        case("no word for unknown words", "[UNK]", _set(model=unknown, added_tokens=[])),
    ]
