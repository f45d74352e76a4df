"""Which prompts hold the identifier, and what follows where training or test lacks it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from hwlit.data.picture_folder import some_of

# Beginnings of the names of letters whose scripts write words without spaces between them, or, as
# Korean does, endings onto words.
UNSPACED = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "KHMER", "LAO", "MYANMAR", "THAI", "TIBETAN")


def holds_word(prompt: str, word: str) -> bool:
    """Return whether a prompt holds a word as CLIP's tokenizer cuts it, and not a part of another.

    It composes accents, knows no case and cuts wherever letters end: "sks2" is "sks" and "2". What
    begins or ends with anything else, such as <new1>, is so known anywhere.

    Args:
        prompt: The prompt.
        word: The word.
    """
    said, sought = (unicodedata.normalize("NFC", text).lower() for text in (prompt, word))
    return any(
        not _joined(said[: place.start()][-1:], sought[:1])
        and not _joined(sought[-1:], said[place.start() + len(sought) :][:1])
        for place in re.finditer(f"(?={re.escape(sought)})", said)
    )


def _joined(one: str, other: str) -> bool:
    """Return whether two characters are of one word; what is no character is of none."""
    return all(
        char.isalpha() and not unicodedata.name(char, "").startswith(UNSPACED)
        for char in (one, other)
    )


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
    yield from _in_training(called, words, named, training)
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
    called: str, words: Sequence[str], named: Callable[[str], bool], training: Sequence[str]
) -> Iterator[str]:
    lacking = [prompt for prompt in training if not named(prompt)]
    lost = [word for word in words if not any(holds_word(prompt, word) for prompt in training)]
    if training and len(lacking) == len(training) and len(lost) < len(words):
        yield _in_part(called, lost)
    elif training and len(lacking) == len(training):
        yield (
            f"{called} is in no training prompt, so that nothing is learned for it: the captions "
            f"({some_of(_quoted(lacking), 1)}) stand for --data.instance_prompt; write it into them"
        )
    elif lacking:
        yield (
            f"{called} is not in {len(lacking)} of {len(training)} training prompts "
            f"({some_of(_quoted(lacking), 1)}), which teach other words"
        )


def _in_part(called: str, lost: Sequence[str]) -> str:
    if lost:
        return (
            f"of {called} {some_of([repr(word) for word in lost])} is in no training prompt; where "
            "the rest names the concept, give it by --data.identifier"
        )
    return (
        f"the words of {called} are in no training prompt together, so that they are not learned "
        "as one; write all of them into each caption, or give those that name the concept by "
        "--data.identifier"
    )


def _quoted(prompts: Iterable[str]) -> list[str]:
    return [repr(prompt[:60]) for prompt in dict.fromkeys(prompts)]
