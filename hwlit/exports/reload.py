"""The check after fit: does what was exported reload elsewhere, and compute the same?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwlit.errors import IntegrityError, is_out_of_memory
from hwlit.exports import stock_classifier
from hwlit.exports.fresh_process import run_fresh
from hwlit.exports.stock_classifier import Text

SCRIPT = Path(__file__).with_name("stock_classifier.py")
# Largest absolute difference of logits. fp32 differs by the order of sums alone; in half precision
# the run itself is only that exact, while the check always computes in fp32.
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}


def check_reload(
    folder: Path,
    base: str,
    texts: Sequence[Text],
    logits: Tensor,
    max_length: int,
    dtype: torch.dtype,
    timeout: float = 600.0,
    fresh: bool = True,
    spread: float = 0.0,
    labels: Sequence[str] | None = None,
    stride: int | None = None,
) -> dict[str, Any]:
    """Reload an exported classifier in a fresh process and compare its logits with the run's.

    Args:
        folder: The exported folder.
        base: Location of the pretrained model.
        texts: Test rows: texts, or the sentences of pairs.
        logits: The run's logits of these rows, (rows, labels), or (2, rows, labels): one by one,
            and in one padded batch.
        max_length: Where the run truncated, in tokens.
        dtype: Precision that the run computed in; sets the tolerance.
        timeout: Seconds after which the fresh process is given up.
        fresh: False reloads in this process: quicker, and proves less.
        spread: By how much the run's own logits differ between batches, for the run is only that
            exact; twice that is tolerated.
        labels: Class names in the order of the run's logits; None takes the folder's order.
        stride: Tokens that the windows of a longer text share; None where it was cut.

    Returns:
        What the record says: rows, largest difference, tolerance.

    Raises:
        IntegrityError: It does not reload, or the logits differ by more than the tolerance.
    """
    job = {"folder": str(folder), "base": base, "texts": list(texts), "max_length": max_length}
    if stride is not None:
        job["stride"] = stride
    # (2, rows, labels): computed one by one, and in one padded batch.
    found = torch.tensor(_run(job, folder, timeout) if fresh else _run_here(job, folder))
    if labels is not None:
        found = found[..., _columns(folder, labels)]
    how = f"{'fresh' if fresh else 'the same'} process, fp32; one by one and padded"
    report = _compared(folder, found, logits, max(TOLERANCES[dtype], 2 * spread))
    return report | {"loaded_with": f"transformers and peft alone, {how}"}


def _compared(folder: Path, found: Tensor, logits: Tensor, tolerance: float) -> dict[str, Any]:
    """Return how far the logits of an export, (2, rows, labels), lie from the run's.

    Raises:
        IntegrityError: By more than the tolerance.
    """
    difference = float((found - logits).abs().max())
    if not difference <= tolerance:
        raise IntegrityError(
            f"{folder} reloads, but its logits differ by {difference:.2g} from the run's "
            f"(tolerance {tolerance:.2g}); do not use it, and report this with the record"
        )
    return {
        "rows": found.shape[-2],
        "max_abs_difference": difference,
        "tolerance": tolerance,
        "same_predictions": int((found.argmax(-1) == logits.argmax(-1)).all(0).sum()),
    }


def _columns(folder: Path, labels: Sequence[str]) -> list[int]:
    """Return for each label which of the exported classifier's logits is its own.

    Raises:
        IntegrityError: The folder's names are others.
    """
    within = folder / stock_classifier.CLASSIFIER
    path = (within if within.is_dir() else folder) / "config.json"
    known = json.loads(path.read_text(encoding="utf-8"))["label2id"]
    if sorted(known) != sorted(labels):
        raise IntegrityError(
            f"{path} names the classes {sorted(known)}, but the run has {sorted(labels)}; do not "
            "use it, and report this with the record"
        )
    return [known[label] for label in labels]


def _run(job: dict[str, Any], folder: Path, timeout: float) -> Any:
    return run_fresh(SCRIPT, job, folder, timeout)


def _run_here(job: dict[str, Any], folder: Path) -> Any:
    try:
        return stock_classifier.logits(**job)
    except Exception as error:  # whatever the loaders raise: it does not reload
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip().splitlines() or ["no message"])[-1]
        raise IntegrityError(
            f"{folder} does not reload: {type(error).__name__}: {reason}"
        ) from error
