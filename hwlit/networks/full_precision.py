"""Computing in fp32 where half precision overflows, as the VAE of many pipelines does."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


@contextlib.contextmanager
def in_full_precision(module: Any) -> Iterator[Any]:
    """Compute in fp32 within, whatever a module's precision is and whether autocast is on.

    Args:
        module: A model of diffusers or transformers.

    Yields:
        The module; where it is in half precision, a copy of it in fp32.
    """
    with torch.no_grad(), torch.autocast(module.device.type, enabled=False):
        # A copy, for what was made in inference mode cannot be cast in place outside it.
        half = module.dtype.itemsize < torch.float32.itemsize
        yield copy.deepcopy(module).to(torch.float32) if half else module


def precision_of(module: Any) -> str:
    """Return what a module computes in here, such as "float16": autocast's, or its weights'."""
    kind = module.device.type
    half = torch.is_autocast_enabled(kind)
    found = torch.get_autocast_dtype(kind) if half else module.dtype
    return str(found).removeprefix("torch.")


def finite_rows(tensor: Tensor) -> Tensor:
    """Return which rows of a tensor hold finite numbers alone, bool (rows,)."""
    return torch.isfinite(tensor).flatten(1).all(dim=1)
