"""Prompts: what a tokenizer cuts off, the identifier, and whether that is a common word."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import CLIPTokenizer

from hwlit.errors import UsageError

# Byte-pair vocabularies are in the order of how often their pieces are merged. Above this share of
# CLIP's lie rare ones, such as the customary "sks" (0.97).
COMMON_SHARE = 0.8


def cut_off(tokenizer: CLIPTokenizer, prompt: str) -> str:
    """Return the end of a prompt that a tokenizer leaves out; "" where it reads the whole."""
    ids = tokenizer(prompt, verbose=False).input_ids
    limit = tokenizer.model_max_length
    return str(tokenizer.decode(ids[limit - 1 : -1])).strip() if len(ids) > limit else ""


def check_prompts(instance_prompt: str, identifier: str, test_prompts: Sequence[str]) -> None:
    """Refuse prompts that cannot teach or test a concept.

    Raises:
        UsageError: A prompt is empty, there is none to test with, or the identifier is missing.
    """
    if not instance_prompt.strip():
        raise UsageError("--data.instance_prompt is empty; give such as 'a photo of sks dog'")
    if identifier.lower() not in instance_prompt.lower():
        raise UsageError(
            f"the identifier {identifier!r} is not in --data.instance_prompt {instance_prompt!r}; "
            "write it there"
        )
    if not test_prompts or not all(prompt.strip() for prompt in test_prompts):
        raise UsageError("--data.test_prompts needs at least one prompt, none of them empty")


def find_identifier(instance_prompt: str, class_prompt: str | None) -> str:
    """Return the words of the instance prompt that the class prompt lacks; "" without one."""
    if class_prompt is None:
        return ""
    known = class_prompt.lower().split()
    return " ".join(word for word in instance_prompt.split() if word.lower() not in known)


def common_word(tokenizer: CLIPTokenizer, identifier: str) -> bool:
    """Return whether an identifier is a common word, whose meaning the concept would overwrite."""
    pieces = tokenizer.tokenize(identifier)
    if len(pieces) != 1:
        return False
    vocabulary = tokenizer.get_vocab()
    # The single bytes come first, in the order of their codes.
    singles = sum(len(piece.removesuffix("</w>")) == 1 for piece in vocabulary)
    rank = vocabulary[pieces[0]] - singles
    return rank < COMMON_SHARE * (len(vocabulary) - singles)


def remarks_on_prompts(
    tokenizers: Sequence[CLIPTokenizer], prompts: Sequence[str], identifier: str
) -> list[str]:
    """Return a sentence for each prompt that is cut, and one where the identifier is common."""
    told = []
    for prompt in dict.fromkeys(prompts):
        if cut := next((text for t in tokenizers if (text := cut_off(t, prompt))), ""):
            told.append(
                f"the prompt {prompt[:60]!r} is longer than {tokenizers[0].model_max_length} "
                f"tokens; cut off is {cut!r}"
            )
    if identifier and common_word(tokenizers[0], identifier):
        told.append(
            f"the identifier {identifier!r} is a common word, whose meaning the concept takes; "
            "a rare one, such as sks, leaves the language whole"
        )
    return told
