"""How near pictures come to a concept and to their prompts, over unit features of an encoder.

Source of subject and prompt fidelity: Ruiz et al., DreamBooth, 2022, section 4.2,
https://arxiv.org/abs/2208.12242. All features are rows of length 1, so that products are cosines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor


def subject_fidelity(generated: Tensor, real: Tensor, pairs: Tensor | None = None) -> Tensor:
    """Return the mean cosine of each generated picture and the real ones, (generated,).

    Its mean, over all pairs, is called CLIP-I for features of CLIP and DINO for those of DINO.

    Args:
        generated: Features of pictures of the concept, (generated, d).
        real: Features of its photos, (real, d).
        pairs: Which photos a picture is compared with, bool (generated, real), at least one each;
            None takes all.
    """
    cosines = generated @ real.T
    if pairs is None:
        return cosines.mean(dim=1)
    return (cosines * pairs).sum(dim=1) / pairs.sum(dim=1)


def shared_words(prompts: Sequence[str], captions: Sequence[str], words: Sequence[str]) -> Tensor:
    """Return which captions share one of the words with each prompt, bool (prompts, captions).

    A prompt that shares none with any caption goes with all of them.

    Args:
        prompts: The prompts.
        captions: The captions.
        words: The words, such as "<new1>" and "<new2>", in lower case.
    """

    def held(texts: Sequence[str]) -> Tensor:
        return torch.tensor([[word in text.lower() for word in words] for text in texts])

    found = (held(prompts).float() @ held(captions).float().T) > 0
    return found | ~found.any(dim=1, keepdim=True)


def prompt_fidelity(generated: Tensor, prompts: Tensor) -> Tensor:
    """Return the cosine of each picture and its prompt, (generated,); its mean is called CLIP-T.

    Args:
        generated: Features of the pictures, (generated, d).
        prompts: Features of the prompt of each, without the identifier, (generated, d).
    """
    return (generated * prompts).sum(dim=1)


def diversity(generated: Tensor, prompts: Sequence[str]) -> Tensor:
    """Return the mean of 1 - cosine of each picture and the others of its prompt, (generated,).

    Its mean over the pictures of a prompt is that over their pairs.

    Args:
        generated: Features of the pictures, (generated, d).
        prompts: The prompt of each.

    Returns:
        A value for each picture; NaN for one that is the only one of its prompt.
    """
    apart = 1 - generated @ generated.T
    names = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    own = torch.tensor([names[prompt] for prompt in prompts])
    others = (own[:, None] == own).fill_diagonal_(False)
    return (apart * others).sum(dim=1) / others.sum(dim=1)


def memorising(generated: Tensor, photos: Tensor) -> Tensor:
    """Return the largest cosine of each generated picture to any single training photo.

    Where it comes near 1, a photo was learned by heart instead of what it shows.

    Args:
        generated: Features of pictures of the concept, (generated, d).
        photos: Features of the photos that were trained on, (photos, d).
    """
    return (generated @ photos.T).amax(dim=1)


def drift(base: Tensor, tuned: Tensor) -> Tensor:
    """Return 1 - cosine of what base and tuned model draw from one prompt and seed, (pairs,).

    Args:
        base: Features of the base model's pictures of prompts unrelated to the concept, (pairs, d).
        tuned: Those of the tuned model's, in the same order.
    """
    return 1 - (base * tuned).sum(dim=1)


def without_identifier(prompt: str, identifier: str) -> str:
    """Return a prompt without the words that name the concept, which CLIP has never seen.

    Args:
        prompt: The prompt, such as "a photo of sks dog".
        identifier: The words, such as "sks", in any case and order; may be empty.
    """
    for word in identifier.split():
        prompt = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", " ", prompt, flags=re.IGNORECASE)
    return " ".join(prompt.split())
