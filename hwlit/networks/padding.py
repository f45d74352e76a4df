"""One padding token for tokenizer and network: some networks read by its id where a text ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hwlit.errors import UsageError
from hwlit.networks.limits import counted_from
from hwlit.networks.loading import at_most
from hwlit.networks.vetting import held_sizes

# Tokens that mean padding, in the order of preference. A token that ends texts is the last resort:
# Llama-type classifiers read the last token that is not padding, by id.
# Source of the first: Llama 3 tokenizer_config.json, reserved for this use.
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<pad>", "[PAD]", "<|pad|>", "<|endoftext|>", "<unk>")
# Types that read the last place of a row, whatever stands there; their positions are relative.
READ_LAST_PLACE = ("xlnet",)


def settle_padding(
    tokenizer: PreTrainedTokenizerBase,
    pretrained: str,
    folder: Path,
    config: PreTrainedConfig,
    make: Callable[[], nn.Module],
) -> None:
    """Give a tokenizer the token to pad with, and the side.

    Args:
        tokenizer: The tokenizer; one without a padding token gets one of its own.
        pretrained: Name of the model.
        folder: Where its files lie.
        config: The config of its network.
        make: Makes the network by that config.

    Raises:
        UsageError: It has no token that could pad, or another than the network counts on.
    """
    if tokenizer.pad_token is None:
        vocabulary = tokenizer.get_vocab()
        usable = [token for token in (*PAD_TOKENS, tokenizer.eos_token) if token in vocabulary]
        if not usable:
            raise UsageError(f"the tokenizer of {pretrained} has no token that could pad texts")
        tokenizer.pad_token = usable[0]
    # Elsewhere either side gives the same logits; the right one keeps positions as in pretraining.
    side = "left" if config.model_type in READ_LAST_PLACE else "right"
    if tokenizer.init_kwargs.get("padding_side", "right") != side:
        tokenizer.init_kwargs["padding_side"] = side  # by which it is saved beside an export
    tokenizer.padding_side = side
    told = pad_id(config)
    if told in (None, tokenizer.pad_token_id) or not _is_row(config, told):
        return
    tensors, what = len(held_sizes(folder)), f"the model {pretrained!r}"
    with torch.device("meta"), torch.random.fork_rng(devices=[]), at_most(tensors, what):
        counted = counted_from(make())
    if counted is None or counted == tokenizer.pad_token_id:
        return  # the network is given the tokenizer's, for it reads none or looks its own up
    token = tokenizer.convert_ids_to_tokens(counted)
    special = token in tokenizer.all_special_tokens or token in PAD_TOKENS
    if special and counted not in tokenizer("")["input_ids"]:
        tokenizer.pad_token = token
        return
    raise UsageError(
        f"{pretrained} takes token {counted} for padding, which is {token!r} to its tokenizer, and "
        f"that pads with token {tokenizer.pad_token_id} ({tokenizer.pad_token!r}); give a model "
        "whose files belong together, or correct pad_token_id in a copy of its config.json"
    )


def pad_id(config: PreTrainedConfig) -> int | None:
    """Return the id by which a network with this config tells padding; None where it has none."""
    # The config of Perceiver has no such entry at all.
    found: int | None = getattr(config.get_text_config(), "pad_token_id", None)
    return found


def _is_row(config: PreTrainedConfig, token: int | None) -> bool:
    rows = getattr(config.get_text_config(), "vocab_size", None)
    return token is not None and rows is not None and 0 <= token < rows
