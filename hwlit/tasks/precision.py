"""Half precision for what is frozen, fp32 for what learns."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning.pytorch.plugins import Precision
from torch.nn import Module

HALF_DTYPES = {"bf16-true": torch.bfloat16, "16-true": torch.float16}


class FrozenHalf(Precision):
    """Keeps frozen weights in half precision and what learns in fp32; autocast joins the two.

    Lightning's own `bf16-true` and `16-true` cast everything, the adapter too, whose small updates
    are then rounded away.

    Args:
        precision: The name under which the trainer knows it.
    """

    precision: Literal["bf16-true", "16-true"]

    def __init__(self, precision: Literal["bf16-true", "16-true"]) -> None:
        self.precision = precision
        self.dtype = HALF_DTYPES[precision]
        self.device_type = "cpu"  # the trainer knows, once it is made

    def convert_module(self, module: Module) -> Module:
        """Cast each parameter to where it belongs, in place."""
        for owner in module.modules():
            own = [p for p in owner.parameters(recurse=False) if p.is_floating_point()]
            learns = any(parameter.requires_grad for parameter in own)
            for parameter in own:
                # A norm takes scale and shift of one type alone; autocast joins none there.
                whole = parameter.requires_grad or (learns and parameter.ndim == 1)
                parameter.data = parameter.data.to(torch.float32 if whole else self.dtype)
        return module

    def forward_context(self) -> AbstractContextManager[Any]:
        """Return autocast to the half precision."""
        return torch.autocast(self.device_type, dtype=self.dtype)


def computing_dtype(precision: object) -> torch.dtype:
    """Return the coarsest type that a precision computes in, such as bf16 for bf16-mixed."""
    name = str(precision)
    if "bf16" in name:
        return torch.bfloat16
    return torch.float16 if name.startswith("16") else torch.float32
