"""The check before training: does a text get the same logits alone and padded?

Where it does not, what a classifier answers depends on the texts beside it: on the batch size in
training, and in use on what is asked together.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hwlit.errors import UsageError, one_line, translated
from hwlit.exports.stock_classifier import encode
from hwlit.networks.limits import Limits
from hwlit.networks.loading import SAMPLE
from hwlit.networks.reached import sharing_copy

# Shares of the largest logit. In fp32 sums in another order differ by 1e-6 of it, in half precision
# by some hundredths; a network that reads padding as text differs by as much as two texts do.
LARGEST_SHARE = 0.1
NOTED_SHARE = {torch.float32: 1e-4, torch.float64: 1e-4}
WORDS = (2, 9)  # tokens of the two texts, beside those that stand around every text
MASK = "attention_mask"


def padding_share(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, limits: Limits, pretrained: str
) -> float:
    """Return by how much padding changes logits, as a share of the largest logit.

    The network itself is not touched: a copy that shares its weights reads two short texts.

    Args:
        network: The classifier, its weights plain.
        tokenizer: Its tokenizer.
        limits: What the network can read.
        pretrained: Name of the model.

    Raises:
        UsageError: The logits differ by more than `LARGEST_SHARE`, or padded texts cannot be read.
            A network that takes no mask, such as FNet, was trained to read padding.
    """
    around = tokenizer.num_special_tokens_to_add()
    lengths = [around + words for words in WORDS]
    if limits.positions is not None and limits.positions < lengths[-1]:
        return 0.0  # too few places for two texts of different length
    text = f"{SAMPLE} " * len(lengths) * lengths[-1]
    rows = [encode(tokenizer, [text], length) for length in lengths]
    limits.check(pretrained, tokenizer, (int(row["input_ids"].max()) for row in rows))
    ids = [{"input_ids": row["input_ids"][0].tolist()} for row in rows]
    padded = tokenizer.pad(ids, return_tensors="pt")
    probe = sharing_copy(network)
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            alone = torch.cat([_logits(probe, row) for row in rows])
            beside = _logits(probe, padded)
    except Exception as error:  # of code of any family, given configs of strangers
        if translated(error) is not None:  # no memory
            raise
        if isinstance(error, RuntimeError) and network.dtype not in NOTED_SHARE:
            return 0.0  # a CPU lacks some operations in half precision
        raise UsageError(
            f"{pretrained} cannot read {lengths[0]} tokens padded beside {lengths[1]} "
            f"({type(error).__name__}: {one_line(error)}); give another --model.pretrained"
        ) from error
    if not (alone.isfinite().all() and beside.isfinite().all()):
        return 0.0  # the first step of training says so
    difference, scale = float((alone - beside).abs().max()), float(alone.abs().max())
    masked = MASK in inspect.signature(network.forward).parameters
    if masked and difference > LARGEST_SHARE * scale:
        raise UsageError(
            f"{pretrained} gives a text other logits alone than padded beside a longer one (they "
            f"differ by {difference:.2g}, and the largest is {scale:.2g}), so that its answers "
            "would depend on the batch; give another --model.pretrained"
        )
    return difference / scale if scale else 0.0


def padding_remark(share: float, dtype: torch.dtype) -> str | None:
    """Return what to say of a network that padding changes a little; None where it does not.

    Args:
        share: What `padding_share` returned.
        dtype: Precision of the weights; in half precision rounding alone makes a difference.
    """
    if share <= NOTED_SHARE.get(dtype, LARGEST_SHARE):
        return None
    return (
        f"padding: the model reads padding too, which changes its logits by up to {share:.1%} of "
        "the largest, so that its answers depend on the texts beside"
    )


def _logits(network: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    logits: Tensor = network(**{name: inputs[name] for name in ("input_ids", MASK)}).logits
    return logits.float()
