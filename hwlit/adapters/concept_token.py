"""Concept token: a word of its own for the concept, whose embedding is all that learns.

Idea: a frozen text-to-image model can draw more than words name. A new word, begun as a copy of a
known one, is moved through the space of embeddings until prompts with it draw the concept. Alone
this is Textual Inversion; with `CrossAttentionKV` in a `Chain` it is Custom Diffusion.

Costs one vector per word, text encoder and `vectors`, some kilobytes in the file; but training goes
back through the denoiser and the text encoder: a step is hardly cheaper than LoRA's, prompts cannot
be encoded once, and far more steps are needed. Nothing is added to a call, once merged.

Loses to every method that changes weights where the model cannot draw the concept yet: the look is
caught, detail and identity often are not. More vectors are nearer to the pictures and follow the
prompt less.

Source: Gal et al. 2022, https://arxiv.org/abs/2208.01618; words of several vectors as
`pipe.load_textual_inversion` of diffusers names them: `<new1>`, `<new1>_1`, ... The other rows of
the table are no parameters of the optimizer at all, where the common programs mask their gradients
and let weight decay shrink them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.base import Adapter, NoSiteError, NotMergeableError, freeze
from hwlit.errors import UsageError
from hwlit.storage import portable_name

Tokenizer = Any  # of transformers, whose tokenizers have no types
LEARNED_EMBEDS = "learned_embeds.safetensors"
LONGEST_NAME = 200  # bytes of a word in the name of its file; systems take 255
# How the names of an export's other files of weights begin: a word's own file is called as it is.
TAKEN = ("learned.", "learned_embeds.", "spectral_shifts")
# What files of two text encoders call them. Source: diffusers' documentation of
# `load_textual_inversion`, by the CLIP that each began as: ViT-L/14 and ViT-bigG/14.
ENCODERS = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


@runtime_checkable
class Tokenized(Protocol):
    """A network with the tokenizer of each text encoder beside it, by the encoder's name."""

    tokenizers: dict[str, Tokenizer]


@dataclass(frozen=True, kw_only=True)
class ConceptToken(Adapter):
    """Adds words and learns their embeddings, in each text encoder.

    Args:
        learning_rate: Learning rate of the embeddings.
        tokens: The new words, each with a known word, one token long, that it begins as.
        vectors: How many vectors each new word has.
    """

    learning_rate: float = 5e-4
    tokens: dict[str, str] = field(default_factory=lambda: {"<new1>": "ktn"})
    vectors: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vectors < 1:
            raise UsageError(f"vectors must be at least 1, got {self.vectors}")
        if not self.tokens:
            raise UsageError('tokens is empty; give such as {"<new1>": "dog"}')
        for token in self.tokens:
            if not token or token != "".join(token.lower().split()) or set(token) & set('/\\"'):
                raise UsageError(
                    f"the new token {token!r} must be one word in lower case, without slashes and "
                    "double quotes; give such as <new1>"
                )
            if len(portable_name(token).encode("utf-8", "replace")) > LONGEST_NAME:
                raise UsageError(
                    f"the new token {token[:40]!r}... is too long for the name of a file; give "
                    "such as <new1>"
                )
            if f"{token}.".startswith(TAKEN):
                raise UsageError(
                    f"the new token {token!r} would be the name of another file of the export; "
                    "give such as <new1>"
                )
            if any(token in other and token != other for other in self.tokens):
                raise UsageError(f"the new token {token!r} is part of another; give such as <new1>")

    @property
    def new_tokens(self) -> dict[str, int]:
        """The words, and how many vectors each has."""
        return dict.fromkeys(self.tokens, self.vectors)

    @property
    def wraps(self) -> bool:
        """Say that the tables of embeddings are wrapped."""
        return True

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the text encoders' tables of token embeddings.

        Raises:
            NoSiteError: The network holds no text encoder.
        """
        names = tuple(
            name
            for name, _ in network.named_modules()
            if name.startswith("text_encoder") and name.endswith(".token_embedding")
        )
        if not names or not isinstance(network, Tokenized):
            raise NoSiteError(
                f"{type(network).__name__} holds no text encoder with its tokenizer, so that it "
                "can learn no new token; give a text-to-image pipeline"
            )
        return names

    def attach(self, network: nn.Module) -> None:
        """Teach the words to the tokenizers, and let the rows for them learn beside the tables.

        Raises:
            NoSiteError: The network holds no text encoder.
            UsageError: A new word is known already, or what it begins as is not one token.
        """
        sites = self.sites(network)
        freeze(network)
        for name in sites:
            part = name.partition(".")[0]
            table = network.get_submodule(name)
            assert isinstance(table, nn.Embedding)
            assert isinstance(network, Tokenized)
            tokenizer = network.tokenizers[part]
            begun = [_only_id(tokenizer, word) for word in self.tokens.values()]
            first = len(tokenizer)
            add_tokens(tokenizer, self.new_tokens)
            rows = [table.weight[number] for number in begun for _ in range(self.vectors)]
            network.set_submodule(name, ConceptEmbedding(table, first, rows))
            encoder: Any = network.get_submodule(part)
            encoder.config.vocab_size = max(table.num_embeddings, first + len(rows))

    def merge(self, network: nn.Module) -> None:
        """Put plain tables in place, longer by the new rows.

        Raises:
            NotMergeableError: Nothing was attached.
        """
        for name in self.sites(network):
            embedding = network.get_submodule(name)
            if not isinstance(embedding, ConceptEmbedding):
                raise NotMergeableError(f"{name} has no new rows; attach before merging")
            network.set_submodule(name, embedding.merged())

    def files(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return what `pipe.load_textual_inversion` reads: each word's vectors, (vectors, width).

        A file for each word, called as it but for what Windows cannot store in a name:
        `%3Cnew1%3E.safetensors`; and the usual name beside it where there is one word alone.
        Of two text encoders (SDXL) the file holds `clip_l` and `clip_g`, to be loaded one by one.
        """
        learned = {}
        for name in self.sites(network):
            embedding = network.get_submodule(name)
            assert isinstance(embedding, ConceptEmbedding)
            learned[ENCODERS[name.partition(".")[0]]] = embedding.stacked()
        found = {}
        for number, token in enumerate(self.tokens):
            own = slice(number * self.vectors, (number + 1) * self.vectors)
            parts = {encoder: rows[own] for encoder, rows in learned.items()}
            name = f"{portable_name(token)}.safetensors"
            found[name] = parts if len(parts) > 1 else {token: parts["clip_l"]}
        if len(self.tokens) == 1:
            found[LEARNED_EMBEDS] = next(iter(found.values()))
        return found


class ConceptEmbedding(nn.Module):
    """A table of embeddings that is frozen, and rows beside it that learn.

    Args:
        table: The table.
        first: Id of the first new row; the others follow.
        rows: What the new rows begin as, each (width,).
    """

    def __init__(self, table: nn.Embedding, first: int, rows: list[Tensor]) -> None:
        super().__init__()
        self.table, self.first = table, first
        # Vectors, of which the optimizer decays none.
        self.rows = nn.ParameterList(nn.Parameter(row.detach().float().clone()) for row in rows)

    def stacked(self) -> Tensor:
        """Return the new rows, (rows, width)."""
        return torch.stack(list(self.rows))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings of ids, int64 of any shape, with the width as last dimension."""
        known = self.table(ids.clamp(max=self.table.num_embeddings - 1))
        places = (ids - self.first).clamp(0, len(self.rows) - 1)
        new = functional.embedding(places, self.stacked()).to(known.dtype)
        ours = (ids >= self.first) & (ids < self.first + len(self.rows))
        return torch.where(ours[..., None], new, known)

    @torch.no_grad()
    def merged(self) -> nn.Embedding:
        """Return a plain table, with the new rows in their places."""
        old, end = self.table.weight, self.first + len(self.rows)
        size = max(len(old), end)
        weight = torch.zeros(size, old.shape[1], dtype=old.dtype, device=old.device)
        weight[: len(old)] = old
        weight[self.first : end] = self.stacked().to(old.dtype)
        return nn.Embedding(size, old.shape[1], _weight=weight).requires_grad_(False)


def add_tokens(tokenizer: Tokenizer, new_tokens: Mapping[str, int]) -> None:
    """Teach a tokenizer new words.

    Args:
        tokenizer: The tokenizer, changed in place.
        new_tokens: The words, and how many vectors each has.

    Raises:
        UsageError: One of them is known already.
    """
    for token, vectors in new_tokens.items():
        if len(tokenizer.tokenize(token)) == 1:
            raise UsageError(
                f"the new token {token!r} is a word of the tokenizer already; give such as <new1>"
            )
        names = [token, *(f"{token}_{number}" for number in range(1, vectors))]
        tokenizer.add_tokens(names)


def _only_id(tokenizer: Tokenizer, word: str) -> int:
    """Return the id of a word that is one token.

    Raises:
        UsageError: It is not.
    """
    ids: list[int] = tokenizer(word, add_special_tokens=False).input_ids
    if len(ids) != 1:
        pieces = ", ".join(tokenizer.tokenize(word)) or "nothing"
        raise UsageError(
            f"a new token cannot begin as {word!r}, which is {len(ids)} tokens here ({pieces}); "
            "give a common word that is one, such as the concept's class"
        )
    return ids[0]
