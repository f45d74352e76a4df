"""The check of a quantised network: is what lies on the disk what was tested?

Its logits depend a little on the batch: in another one a sum in another order can move an input
over the edge between two integers, or LLM.int8 finds inputs that stick out in other columns. Layer
by layer that grows to a tenth of a logit, and tells nothing of the file. So both sides are given
the same batches, and how far the network itself moves between batches is measured beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from hwlit.adapters.quantized_state import restore
from hwlit.errors import IntegrityError
from hwlit.exports.quantized_folder import read_quantized
from hwlit.exports.stock_classifier import Text, score
from hwlit.networks.empty import empty_classifier

TOLERANCE = 1e-4  # the same integers on the same batches; what is left in fp32 may be summed anew


@torch.inference_mode()
def check_quantized(
    folder: Path,
    network: nn.Module,
    texts: Sequence[Text],
    logits: Tensor,
    max_length: int,
    stride: int | None = None,
) -> dict[str, Any]:
    """Read a quantised classifier back and compare its logits with those of the one in memory.

    Args:
        folder: The exported folder.
        network: The quantised network in memory, in eval mode.
        texts: Test rows: texts, or the sentences of pairs.
        logits: Their logits in the test, (rows, labels).
        max_length: Where texts were cut, in tokens.
        stride: Tokens that the windows of a longer text share; None where it was cut.

    Returns:
        What the record says: rows, largest difference, tolerance; largest difference by batching.

    Raises:
        IntegrityError: It cannot be read, or differs by more than the tolerance.
    """
    saved: nn.Module = restore(empty_classifier(folder), *read_quantized(folder))
    saved.to(_device(network))
    found = batched_logits(saved, folder, texts, max_length, stride)
    own = batched_logits(network, folder, texts, max_length, stride)
    difference = float((found - own).abs().max())
    if not difference <= TOLERANCE:
        raise IntegrityError(
            f"{folder} reads back, but its logits differ by {difference:.2g} from those of the "
            f"network that was saved (tolerance {TOLERANCE}); do not use it, and report this with "
            "the record"
        )
    return {
        "rows": len(texts),
        "max_abs_difference": difference,
        "tolerance": TOLERANCE,
        "batching_difference": float((found - logits).abs().max()),
        "same_predictions": int((found.argmax(-1) == logits.argmax(-1)).all(0).sum()),
        "loaded_with": "hwlit, from the folder alone, the same process; one by one and padded",
    }


@torch.inference_mode()
def batched_logits(
    network: nn.Module,
    folder: Path,
    texts: Sequence[Text],
    max_length: int,
    stride: int | None = None,
) -> Tensor:
    """Return logits in fp32, (2, rows, labels): computed one by one, and in one padded batch.

    Args:
        network: A classifier in eval mode.
        folder: The exported folder, for its tokenizer.
        texts: The rows: texts, or the sentences of pairs.
        max_length: Where texts are cut, in tokens.
        stride: Tokens that the windows of a longer text share; None cuts it.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    batches = [[text] for text in texts] + [list(texts)]
    found = torch.cat([score(network, tokenizer, rows, max_length, stride) for rows in batches])
    return found.cpu().view(2, len(texts), -1)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
