"""Patterns of tokenizers in use pass, those known without a process; bombs are in the corpus."""

import subprocess
from pathlib import Path

import pytest

from hwlit.errors import UsageError
from hwlit.networks.pattern_probe import try_out
from hwlit.networks.patterns import CLIP, GPT2, GPT4, check_patterns

FILE = Path("tokenizer.json")
# Of GPT-4o, DeepSeek V3 and StarCoder.
IN_USE = [
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\d",
]


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize("pattern", [GPT2, GPT4, CLIP])
def test_known_patterns_need_no_process(pattern, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *words, **settings: pytest.fail("a process"))
    bytes_ = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    both = {"type": "Sequence", "pretokenizers": [split(pattern), bytes_]}
    check_patterns(FILE, {"normalizer": {"type": "NFC"}, "pre_tokenizer": both})
    check_patterns(FILE, {"normalizer": None, "pre_tokenizer": bytes_})


@pytest.mark.parametrize("pattern", IN_USE)
def test_patterns_in_use_are_quick(pattern):
    assert try_out({"pre_tokenizer": split(pattern)}, [pattern], []) == ""


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr("hwlit.networks.patterns.SECONDS", 0.0)
    with pytest.raises(UsageError, match=r"the pattern 'a' of tokenizer\.json does not end"):
        check_patterns(FILE, {"pre_tokenizer": split("a")})
