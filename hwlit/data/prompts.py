"""Prompts: what a tokenizer cuts off, the identifier, and whether that is a common word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from transformers import CLIPTokenizer

from hwlit.data.identifier import holds_word
from hwlit.errors import UsageError
from hwlit.networks.tokenizers import written_out

# Byte-pair vocabularies are in the order of how often their pieces are merged. Above this share of
# CLIP's lie rare ones, such as the customary "sks" (0.97).
COMMON_SHARE = 0.8
LONGEST = 10_000  # characters of a prompt; encoders read some 300 of them
PUNCTUATION = ".,;:!?\"'()[]{}"  # around a word; <new1> keeps its own
PLACEHOLDER = re.compile(r"\{(.*?)\}")


def cut_off(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """Return the end of a prompt that a tokenizer leaves out; "" where it reads the whole."""
    ids = tokenizer(written_out(tokenizer, prompt), verbose=False).input_ids
    limit = tokenizer.model_max_length
    return str(tokenizer.decode(ids[limit - 1 : -1])).strip() if len(ids) > limit else ""


def check_prompts(instance_prompt: str, identifier: str, test_prompts: Sequence[str]) -> None:
    """Refuse prompts that cannot teach or test a concept.

    Raises:
        UsageError: A prompt is empty, there is none to test with, or the identifier is missing.
    """
    if not instance_prompt.strip():
        raise UsageError("--data.instance_prompt is empty; give such as 'a photo of sks dog'")
    if not all(holds_word(instance_prompt, word) for word in identifier.split()):
        raise UsageError(
            f"the identifier {identifier!r} is not in --data.instance_prompt {instance_prompt!r}; "
            "write it there, or give the concept's own word by --data.identifier"
        )
    if not test_prompts or not all(prompt.strip() for prompt in test_prompts):
        raise UsageError("--data.test_prompts needs at least one prompt, none of them empty")


def check_lengths(prompts: Iterable[str | None]) -> None:
    """Refuse prompts that are no prompts.

    Raises:
        UsageError: One is very long.
    """
    for prompt in prompts:
        if len(prompt or "") > LONGEST:
            raise UsageError(
                f"the prompt {str(prompt)[:40]!r}... has {len(str(prompt)):,} characters, and a "
                f"prompt has at most {LONGEST:,}; shorten it"
            )


def check_new_tokens(new_tokens: Iterable[str], prompts: Sequence[str]) -> None:
    """Refuse a new token that nothing is said with.

    Raises:
        UsageError: It is in no prompt.
    """
    for token in new_tokens:
        if not any(token in prompt.lower() for prompt in prompts):
            raise UsageError(
                f"the new token {token!r} is in no prompt; write it into --data.instance_prompt "
                f"and --data.test_prompts, such as 'a photo of a {token} dog'"
            )


def find_identifier(
    instance_prompt: str, class_prompt: str | None, new_tokens: Iterable[str] = ()
) -> str:
    """Return the words of the instance prompt that stand for the concept; "" without one.

    Args:
        instance_prompt: The prompt of its pictures.
        class_prompt: The prompt of the class, which lacks them, if there is one.
        new_tokens: Words that are learned; they stand for the concept where there is no other.

    Raises:
        UsageError: A prompt is very long.
    """
    check_lengths((instance_prompt, class_prompt))
    known = None if class_prompt is None else _words(class_prompt.lower())
    words = _words(instance_prompt)
    told = [] if known is None else [word for word in words if word.lower() not in known]
    new = [token for token in new_tokens if token in instance_prompt.lower()]
    return " ".join(told or new)


def find_class(instance_prompt: str, identifier: str) -> str:
    """Return the words of the instance prompt that follow the identifier, such as "dog"."""
    named = _words(identifier.lower())
    words = _words(instance_prompt)
    places = [place for place, word in enumerate(words) if word.lower() in named]
    return " ".join(words[places[-1] + 1 :]) if places else ""


def _words(prompt: str) -> list[str]:
    """Return the words of a prompt without the punctuation around them."""
    prompt = unicodedata.normalize("NFC", prompt)  # as CLIP's tokenizer reads it
    return [stripped for word in prompt.split() if (stripped := word.strip(PUNCTUATION))]


def filled_in(
    prompts: Sequence[str] | None, identifier: str, instance_prompt: str, class_prompt: str | None
) -> tuple[str, ...]:
    """Return prompts with words in place of `{identifier}` and `{class}`.

    Without a class prompt the class may be nothing, as in Textual Inversion, where the identifier
    alone says what the concept is.

    Args:
        prompts: The prompts, such as "a {identifier} {class} in the snow"; None takes the instance
            prompt as it is.
        identifier: The words that stand for the concept.
        instance_prompt: The prompt of its pictures, where the class follows the identifier.
        class_prompt: The prompt of the class, if there is one.

    Raises:
        UsageError: A prompt is very long, a placeholder is unknown, or there are no words for it.
    """
    if prompts is None:
        return (instance_prompt,)
    check_lengths((identifier, *prompts))
    words = {"identifier": identifier, "class": find_class(instance_prompt, identifier)}
    asked = dict.fromkeys(name for prompt in prompts for name in PLACEHOLDER.findall(prompt))
    for name in asked:
        if name not in words:
            raise UsageError(
                f"--data.test_prompts has the placeholder {{{name}}}; those that are filled in are "
                "{identifier} and {class}"
            )
    if "identifier" in asked and not identifier:
        raise UsageError(
            "--data.test_prompts has {identifier}, and there is none; give --data.identifier, or "
            "--data.class_prompt, which lacks it"
        )
    if "class" in asked and not words["class"] and class_prompt is not None:
        raise UsageError(
            f"--data.test_prompts has {{class}}, and no word follows {identifier!r} in "
            f"--data.instance_prompt {instance_prompt!r}; put the class there: 'a photo of sks dog'"
        )
    return tuple(_filled_in(prompt, words) for prompt in prompts)


def _filled_in(prompt: str, words: Mapping[str, str]) -> str:
    if not PLACEHOLDER.search(prompt):
        return prompt
    return " ".join(PLACEHOLDER.sub(lambda found: words[found[1]], prompt).split())


def common_word(tokenizer: CLIPTokenizer, identifier: str) -> bool:
    """Return whether all words of an identifier are common: the concept overwrites their meaning.

    Args:
        tokenizer: The tokenizer.
        identifier: One word or more.
    """
    vocabulary = tokenizer.get_vocab()
    # The single bytes come first, in the order of their codes.
    singles = sum(len(piece.removesuffix("</w>")) == 1 for piece in vocabulary)
    rarest = singles + COMMON_SHARE * (len(vocabulary) - singles)
    words = [tokenizer.tokenize(word) for word in _words(identifier)]
    return all(len(pieces) == 1 and vocabulary[pieces[0]] < rarest for pieces in words)


def remarks_on_prompts(
    tokenizers: Sequence[CLIPTokenizer], prompts: Sequence[str], identifier: str | None = None
) -> list[str]:
    """Return a sentence for each prompt that is cut, and one on an identifier that does not serve.

    Args:
        tokenizers: Those of the pipeline.
        prompts: All that is said in training and test, or is to be drawn.
        identifier: The words that stand for the concept, "" where it has none; None where nothing
            is to be learned.
    """
    told = []
    for prompt in dict.fromkeys(prompts):
        if cut := next((text for t in tokenizers if (text := cut_off(t, prompt))), ""):
            told.append(
                f"the prompt {prompt[:60]!r} is longer than {tokenizers[0].model_max_length} "
                f"tokens; cut off is {cut[:60]!r}"
            )
    if identifier is None:
        return told
    if not identifier:
        told.append(
            "no word tells the concept from its class, so that the whole class changes; put a rare "
            "one, such as sks, into --data.instance_prompt, and give --data.class_prompt without it"
        )
    elif common_word(tokenizers[0], identifier):
        told.append(
            f"the identifier {identifier!r} is common, and the concept takes its meaning; a rare "
            "word, such as sks, leaves the language whole"
        )
    return told
