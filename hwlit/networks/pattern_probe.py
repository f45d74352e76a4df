"""Try the normaliser, pre-tokeniser and decoder of a tokenizer on texts that make bad ones slow.

Run as a script, in a process that its parent ends when it takes too long. Reads `parts`, their
`patterns` and `literals` (JSON) from standard input; prints in a few words what is wrong, and exits
with 1.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer

if sys.platform != "win32":
    import resource

MEMORY = 2 << 30  # bytes of addresses; Python and the library map one tenth
SECONDS = 3  # of the processor, for everything
LONGEST = 0.5  # seconds of the processor for a line; an honest pattern takes a thousandth of that
GROWTH = 16  # characters that may be made of one
SPARE = 1_000  # characters more, for a line of few
LETTERS = 64
PLAIN = "It's 12.50 EUR for the_2nd aaaaaaa bbb -- see https://example.org/a?b=c&d=e , isn't it?!\n"


def texts(patterns: list[str], literals: list[str]) -> Iterator[str]:
    """Yield lines of text: ordinary ones, and runs of what the patterns are written with."""
    yield PLAIN
    yield "".join(map(chr, range(32, 127))) * 10
    yield from (f"{literal} " * 20 + literal * 20 for literal in dict.fromkeys(literals))
    written = "".join(dict.fromkeys("".join([*patterns, *literals])))
    letters = "".join(dict.fromkeys("a1 _-.\n" + written))[:LETTERS]
    for letter in letters:
        for length in (30, 60, 1_000):
            for end in ("!", "\x00", "\n", "z"):
                # Where a character that must follow is nowhere in a text, it is not even tried.
                yield letter * length + end + written
    words = " ".join(["word", "zebra", "x1"] * 100)
    yield from (words + end + written for end in ("", "!", ":", "\x00"))
    yield PLAIN * 20


def try_out(parts: dict[str, Any], patterns: list[str], literals: list[str]) -> str:
    """Return what is wrong; nothing where all is well."""
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
    }
    rest: dict[str, Any] = {"normalizer": None, "pre_tokenizer": None, "decoder": None}
    tokenizer = Tokenizer.from_str(json.dumps({**empty, "post_processor": None, **rest, **parts}))
    for text in texts(patterns, literals):
        start = time.process_time()
        for length in _lengths(tokenizer, text):
            if length > GROWTH * len(text) + SPARE:
                return f"makes {length:,} characters of {len(text):,}"
        if (took := time.process_time() - start) > LONGEST:
            return f"takes {took:.1f} s for {len(text):,} characters"
    return ""


def _lengths(tokenizer: Tokenizer, text: str) -> Iterator[int]:
    """Yield how long a text is after each step."""
    if tokenizer.decoder is not None:
        yield len(tokenizer.decoder.decode([text]))
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
        yield len(text)
    if tokenizer.pre_tokenizer is not None:
        yield sum(len(word) for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))


def main() -> None:
    """Try what standard input names."""
    job = json.load(sys.stdin)
    if sys.platform != "win32":
        for kind, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.getrlimit(kind)[1]  # no process may go above its own
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))
    try:
        wrong = try_out(job["parts"], job["patterns"], job["literals"])
    except BaseException as error:  # the library panics where a pattern goes back too often
        wrong = f"broke off ({str(error)[:100]})"
    print(wrong)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
