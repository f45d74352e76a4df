"""The optimizer over what learns: groups, the adapter's learning rate, and an early refusal."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import nn
from torch.optim import Optimizer

from hwlit.errors import UsageError


def make_optimizer(
    factory: OptimizerCallable, learned: Sequence[nn.Parameter], rate: float
) -> Optimizer:
    """Return the optimizer; weight decay is for matrices alone: vectors never decay.

    Args:
        factory: Makes the optimizer from parameter groups.
        learned: What learns.
        rate: The adapter's learning rate.
    """
    matrices = [parameter for parameter in learned if _is_matrix(parameter)]
    vectors = [parameter for parameter in learned if not _is_matrix(parameter)]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return factory([{**group, "lr": rate} for group in groups if group["params"]])


def try_optimizer(factory: OptimizerCallable, rate: float) -> None:
    """Make one step with two small tensors: some optimizers check their settings only then.

    Raises:
        UsageError: The optimizer refuses its settings, or was given a learning rate of its own.
    """
    matrix, bias = (nn.Parameter(torch.zeros(shape)) for shape in ((2, 2), (2,)))
    matrix.grad, bias.grad = torch.zeros(2, 2), torch.zeros(2)
    try:
        optimizer = make_optimizer(factory, [matrix, bias], rate)
        optimizer.step()
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"the optimizer cannot be used: {str(error).partition(chr(10))[0]}; look at "
            "--model.optimizer and --model.adapter.learning_rate"
        ) from error
    usual = inspect.signature(type(optimizer)).parameters["lr"].default
    if optimizer.defaults["lr"] != usual:
        raise UsageError(
            f"the optimizer was given lr {optimizer.defaults['lr']}, but the learning rate is the "
            "adapter's: give it by --model.adapter.learning_rate"
        )


def fuse(optimizer: Optimizer, device: torch.device) -> None:
    """Use the fused update where torch would loop over the tensors: its default on a CPU."""
    chosen = optimizer.defaults.get("fused"), optimizer.defaults.get("foreach")
    if device.type == "cpu" and "fused" in optimizer.defaults and chosen == (None, None):
        for group in optimizer.param_groups:
            group["fused"] = True


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Say whether weight decay is for it; a single row or column is a vector, such as a scale."""
    return sum(size > 1 for size in parameter.shape) > 1
