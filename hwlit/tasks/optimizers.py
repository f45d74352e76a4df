"""How the optimizer is set up, the same for every adapter."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hwlit.errors import UsageError


def parameter_groups(learned: Iterable[Tensor], rate: float) -> list[dict[str, Any]]:
    """Return the groups of an optimizer: matrices, and vectors, which are never decayed.

    Args:
        learned: What learns.
        rate: The learning rate.
    """
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for parameter in learned:
        (matrices if _is_matrix(parameter) else vectors).append(parameter)
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return [{**group, "lr": rate} for group in groups if group["params"]]


def fuse(optimizer: Optimizer, device: torch.device) -> None:
    """Use the fused update where torch would loop over the tensors: its default on a CPU."""
    chosen = optimizer.defaults.get("fused"), optimizer.defaults.get("foreach")
    if device.type == "cpu" and "fused" in optimizer.defaults and chosen == (None, None):
        for group in optimizer.param_groups:
            group["fused"] = True


def refuse_other_rate(optimizer: Optimizer) -> None:
    """Refuse a learning rate that was given to the optimizer, where it would not be used."""
    usual = inspect.signature(type(optimizer)).parameters["lr"].default
    if optimizer.defaults["lr"] != usual:
        raise UsageError(
            f"the optimizer was given lr {optimizer.defaults['lr']}, but the learning rate is the "
            "adapter's: give it by --model.adapter.learning_rate"
        )


def _is_matrix(parameter: Tensor) -> bool:
    """Say whether weight decay is for it; a single row or column is a vector, such as a scale."""
    return sum(size > 1 for size in parameter.shape) > 1
