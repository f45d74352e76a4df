"""Computing in fp32 where half precision overflows, as the VAE of many pipelines does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


@contextlib.contextmanager
def in_full_precision(module: Any) -> Iterator[torch.dtype]:
    """Compute in fp32 within, whatever a module's precision is and whether autocast is on.

    Args:
        module: A model of diffusers or transformers; its weights are afterwards what they were.

    Yields:
        fp32; for a module in fp64, that.
    """
    own: torch.dtype = module.dtype
    wide = torch.promote_types(own, torch.float32)
    # Weights that are cast in inference mode could not be used outside it.
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast(module.device.type, enabled=False),
    ):
        module.to(wide)
        try:
            yield wide
        finally:
            module.to(own)


def precision_of(module: Any) -> str:
    """Return what a module computes in here, such as "float16": autocast's, or its weights'."""
    kind = module.device.type
    half = torch.is_autocast_enabled(kind)
    found = torch.get_autocast_dtype(kind) if half else module.dtype
    return str(found).removeprefix("torch.")


def finite_rows(tensor: Tensor) -> Tensor:
    """Return which rows of a tensor hold finite numbers alone, bool (rows,)."""
    return torch.isfinite(tensor).flatten(1).all(dim=1)
