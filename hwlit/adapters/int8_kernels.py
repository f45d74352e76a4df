"""Kernels that multiply 8-bit integers: all give the same bits, and a trial finds the fastest.

Each takes integers of -127 to 127 in fp32 and int8 weights, sums the products exactly and scales
the sums once. oneDNN has two: its layout of weights serves signed activations, which it multiplies
with AMX and, without, by a loop that takes 900 times as long as fp32; and unsigned ones, which it
multiplies with VNNI. So activations are given to it as they are, or moved by 128 with that as zero
point. `torch._int_mm` takes the weights as they lie. The product in floating point is there for
devices on which none of these is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwlit.adapters.rounding import exact_in_one, exact_product

SIGN = 128  # the highest of 8 bits
CUDA_ROWS = 17  # torch._int_mm takes no fewer on CUDA


@dataclass(frozen=True)
class Kernel:
    """A way to multiply integers.

    Args:
        name: What records call it.
        pack: Makes of int8 weights, (out_features, in_features), what `multiply` takes.
        multiply: Takes integers of -127 to 127, (rows, in_features), fp32, the packed weights and
            what each row of the weights is multiplied by, (out_features,); returns the product,
            (rows, out_features), fp32, in memory of its own.
        copied: Bytes that the packed weights take beside the weights, for each of them.
        integer: Whether it multiplies integers and not floating-point numbers.
    """

    name: str
    pack: Callable[[Tensor], Any]
    multiply: Callable[[Tensor, Any, Tensor], Tensor]
    copied: int = 0
    integer: bool = True


def _pack_onednn(weight: Tensor) -> tuple[Tensor, Tensor]:
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed, torch.zeros(len(weight), dtype=torch.int32)


def _onednn(activations: Tensor, zero: int, packed: tuple[Tensor, Tensor], scale: Tensor) -> Tensor:
    """Return the product by the operator that torch's inductor emits for quantised linear layers.

    Source: torch/_inductor/fx_passes/quantization.py and aten/src/ATen/native/quantized/cpu/
    qlinear.cpp of torch 2.13. The tensors of quantised types beside it are deprecated.
    """
    weight, zeros = packed
    found: Tensor = torch.ops.onednn.qlinear_pointwise.default(
        activations, 1.0, zero, weight, scale, zeros, None, 1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return found


def _signed(integers: Tensor, packed: tuple[Tensor, Tensor], scale: Tensor) -> Tensor:
    return _onednn(integers.to(torch.int8), 0, packed, scale)


def _unsigned(integers: Tensor, packed: tuple[Tensor, Tensor], scale: Tensor) -> Tensor:
    # Turning the sign around adds 128, in a quarter of the time of a sum in fp32.
    moved = integers.to(torch.int8).view(torch.uint8).bitwise_xor_(SIGN)
    return _onednn(moved, SIGN, packed, scale)


def _int_mm(integers: Tensor, turned: Tensor, scale: Tensor) -> Tensor:
    return torch._int_mm(integers.to(torch.int8), turned).float().mul_(scale)


def _int_mm_cuda(integers: Tensor, turned: Tensor, scale: Tensor) -> Tensor:
    missing = max(0, CUDA_ROWS - len(integers))
    padded = functional.pad(integers, (0, 0, 0, missing))
    return _int_mm(padded, turned, scale)[: len(integers)]


def _pack_float(weight: Tensor) -> tuple[Tensor, bool]:
    return weight.float(), exact_in_one(weight)


def _float(integers: Tensor, packed: tuple[Tensor, bool], scale: Tensor) -> Tensor:
    weight, in_one = packed
    with torch.autocast(integers.device.type, enabled=False):
        found = functional.linear(integers, weight) if in_one else exact_product(integers, weight)
    return found.mul_(scale)


FLOAT = Kernel("fp32", _pack_float, _float, copied=4, integer=False)
INT_MM = Kernel("torch-int-mm", Tensor.t, _int_mm)
UNSIGNED = Kernel("onednn-unsigned", _pack_onednn, _unsigned, copied=1)
SIGNED = Kernel("onednn-signed", _pack_onednn, _signed, copied=1)
KERNELS: dict[str, tuple[Kernel, ...]] = {
    "cpu": (INT_MM, UNSIGNED, SIGNED, FLOAT),
    "cuda": (Kernel("torch-int-mm", Tensor.t, _int_mm_cuda), FLOAT),
}
"""Kernels by type of device, the one in fp32 last; of equally fast ones the first is taken."""
