"""Which prompts hold the identifier, and what follows where training or test lacks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from hwlit.data.picture_folder import some_of

LETTERS = r"[^\W_]"  # letters and digits: what a tokenizer does not cut a word at


def holds_word(prompt: str, word: str) -> bool:
    """Return whether a prompt holds a word, and not only as a part of another, in any case.

    Args:
        prompt: The prompt.
        word: The word; what begins or ends with punctuation, such as <new1>, is known anywhere.
    """
    before = rf"(?<!{LETTERS})" if word[:1].isalnum() else ""
    after = rf"(?!{LETTERS})" if word[-1:].isalnum() else ""
    return re.search(before + re.escape(word) + after, prompt, re.IGNORECASE) is not None


def remarks_on_identifier(
    identifier: str,
    new_tokens: Iterable[str],
    training: Sequence[str],
    tested: Sequence[str],
    others: Sequence[str],
) -> Iterator[str]:
    """Yield what a user should know of where the identifier is said, a sentence each.

    Args:
        identifier: The words that stand for the concept; "" where it has none.
        new_tokens: Words that are learned, one of which is enough: concepts are learned jointly.
        training: What training says of each picture of the concept.
        tested: The test prompts.
        others: What is said of the class, and the prompts of other things.
    """
    words, new = identifier.split(), tuple(new_tokens)
    if not words and not new:
        return

    def named(prompt: str) -> bool:
        whole = bool(words) and all(holds_word(prompt, word) for word in words)
        return whole or any(holds_word(prompt, token) for token in new)

    called = f"the identifier {identifier!r}" if words else f"a new word ({some_of(new)})"
    yield from _in_training(called, named, training)
    for token in new:
        if not any(holds_word(prompt, token) for prompt in training) and any(map(named, training)):
            yield f"the new word {token!r} is in no training prompt, so that it learns nothing"
    if lost := _quoted(prompt for prompt in tested if not named(prompt)):
        yield (
            f"{called} is not in {len(lost)} of {len(set(tested))} test prompts "
            f"({some_of(lost, 1)}), which are measured as if they named the concept"
        )
    if held := _quoted(prompt for prompt in others if named(prompt)):
        yield (
            f"{called} is in {len(held)} of {len(set(others))} prompts of the class or of other "
            f"things ({some_of(held, 1)}), which then speak of the concept too"
        )


def _in_training(
    called: str, named: Callable[[str], bool], training: Sequence[str]
) -> Iterator[str]:
    lacking = [prompt for prompt in training if not named(prompt)]
    if training and len(lacking) == len(training):
        yield (
            f"{called} is in no training prompt, so that nothing is learned for it: the captions "
            f"({some_of(_quoted(lacking), 1)}) stand for --data.instance_prompt; write it into them"
        )
    elif lacking:
        yield (
            f"{called} is not in {len(lacking)} of {len(training)} training prompts "
            f"({some_of(_quoted(lacking), 1)}), which teach other words"
        )


def _quoted(prompts: Iterable[str]) -> list[str]:
    return [repr(prompt[:60]) for prompt in dict.fromkeys(prompts)]
