"""Try the normaliser and pre-tokeniser of a tokenizer on texts that make bad patterns slow.

Run as a script, in a process that its parent ends when it takes too long. Reads `parts` and their
`patterns` (JSON) from standard input; prints in a few words what is wrong, and exits with 1.
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
GROWTH = 64  # characters that may be made of one
LETTERS = 64
PLAIN = "It's 12.50 EUR for the_2nd aaaaaaa bbb -- see https://example.org/a?b=c&d=e , isn't it?!\n"


def texts(patterns: list[str]) -> Iterator[str]:
    """Yield lines of text: ordinary ones, and runs of what the patterns are written with."""
    yield PLAIN
    written = "".join(dict.fromkeys("".join(patterns)))
    letters = "".join(dict.fromkeys("a1 _-.\n" + written))[:LETTERS]
    for letter in letters:
        for length in (30, 60, 1_000):
            for end in ("!", "\x00", "\n", "z"):
                # Where a character that must follow is nowhere in a text, it is not even tried.
                yield letter * length + end + written
    words = " ".join(["word", "zebra", "x1"] * 100)
    yield from (words + end + written for end in ("", "!", ":", "\x00"))
    yield PLAIN * 20


def try_out(parts: dict[str, Any], patterns: list[str]) -> str:
    """Return what is wrong; nothing where all is well."""
    plain = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
    }
    rest = {"post_processor": None, "decoder": None, "model": plain}
    tokenizer = Tokenizer.from_str(json.dumps({**empty, **rest, **parts}))
    for text in texts(patterns):
        start = time.process_time()
        if tokenizer.normalizer is not None:
            text, size = tokenizer.normalizer.normalize_str(text), len(text)
            if len(text) > GROWTH * size + GROWTH:
                return f"makes {len(text):,} characters of {size:,}"
        if tokenizer.pre_tokenizer is not None:
            tokenizer.pre_tokenizer.pre_tokenize_str(text)
        if (took := time.process_time() - start) > LONGEST:
            return f"takes {took:.1f} s for {len(text):,} characters"
    return ""


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
        wrong = try_out(job["parts"], job["patterns"])
    except BaseException as error:  # the library panics where a pattern goes back too often
        wrong = f"broke off ({str(error)[:100]})"
    print(wrong)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
