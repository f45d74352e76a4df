"""How much a run would compute: batches to train on, tokens to evaluate."""

from __future__ import annotations

import math

from lightning.pytorch import Trainer

from hwlit.data.batching import LengthBatchSampler


def planned(trainer: Trainer) -> tuple[int, int]:
    """Return how many batches are trained on, and how often the validation part is used.

    Args:
        trainer: The trainer after a fit has begun, so that it knows its data.
    """
    per_epoch, epochs = int(trainer.num_training_batches), trainer.max_epochs or 0
    batches = per_epoch * epochs if epochs > 0 else math.inf
    if trainer.max_steps > 0:
        batches = min(batches, trainer.max_steps * trainer.accumulate_grad_batches)
    every, between = trainer.check_val_every_n_epoch, int(trainer.val_check_batch or per_epoch)
    if every is None:
        return int(batches), int(batches // between)
    within = max(1, per_epoch // between)
    return int(batches), int(batches / per_epoch / every) * within


def token_slots(order: LengthBatchSampler, limit: int | float | None, width: int | None) -> int:
    """Return the tokens of an evaluation's batches, padding included.

    Args:
        order: The batches.
        limit: How many of them are used, a number or a share; None uses all.
        width: What every row is padded to; None pads to the longest of its batch.
    """
    batches = list(order)
    if limit is not None:
        batches = batches[: limit if isinstance(limit, int) else int(limit * len(batches))]
    if width is not None:
        return sum(len(rows) for rows in batches) * width
    return sum(len(rows) * int(order.lengths[rows].max()) for rows in batches)


def clock(seconds: float) -> str:
    """Return seconds as people say them."""
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
