"""Linear layers that compute in 8-bit integers: int8 or int4 weights, activations as they come.

Idea: a row x of the input is rounded to 8 bits by its own largest entry, a row w of the weights by
its own, and the product of the integers, which is exact, is scaled once:
y = s_x s_w (x / s_x) (w / s_w) + bias. No zero points, nothing is clipped, and no row depends on
the others of its batch. On x86 oneDNN multiplies, by the operator that torch's inductor emits for
quantised linear layers; elsewhere the same integers are multiplied by `torch._int_mm` or, where
there is neither, in floating point, which gives the same values and saves no time.

int4 has a scale for each group of 32 weights, itself an integer of 1 to 18 times that of the row:
the weights multiply as int8 then (7 x 18 = 126), as fast as these, and only the file is smaller.

Costs: weights of one byte, and a second copy of them in the order that the processor wants, once
the layer has computed; two passes over the input, to find the scales and to round.

Loses in accuracy to weight-only formats where few features of the input are far larger than the
rest (large decoders); and its time where batches are so small that the passes count.

Source: Dettmers et al. 2022, LLM.int8(), https://arxiv.org/abs/2208.07339, section 2, vector-wise
quantisation; the scales of int4: Lin et al. 2024, QServe, https://arxiv.org/abs/2405.04532,
section 4.1, progressive group quantisation.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.formats import Format, hollow, plain_linear
from hwlit.adapters.rounding import (
    GROUP,
    LARGEST,
    Rounded,
    finish,
    float_product,
    in_groups,
    round_rows,
    round_weight,
)

ROWS = 17  # torch._int_mm on CUDA takes no fewer
STEP = 8  # and sides that are multiples of this
OFFSET = 8  # makes four bits of -7 to 7 positive


class OneDnnLinear(nn.Linear):
    """A frozen linear layer with int8 weights that computes in integers.

    Args:
        in_features: Size of a row of the input.
        out_features: Size of a row of the output.
        bias: Whether there is one; it is fp32 and may learn.
        device: Device of torch.
    """

    bits: ClassVar[int] = 8
    scale: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool, device: Any = None) -> None:
        super().__init__(in_features, out_features, bias, device)
        weight = torch.empty_like(self.weight, dtype=torch.int8)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", torch.empty(out_features, device=device))
        self._packed: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        """Return the layer that computes as a plain one does, its weights rounded."""
        layer = hollow(cls, linear)
        layer.hold(round_weight(linear.weight.detach().float(), cls.bits))
        layer.bias = linear.bias
        return layer

    def hold(self, rounded: Rounded) -> None:
        """Take these weights."""
        self.weight = nn.Parameter(rounded.values.to(torch.int8), requires_grad=False)
        self.scale = rounded.scale
        self._packed = None

    def dequantized(self) -> Tensor:
        """Return the weights that the integers stand for, (out_features, in_features), fp32."""
        return self.weight * self.scale.unsqueeze(-1)

    @property
    def copy_bytes(self) -> int:
        """Bytes of the second copy of the weights that a processor holds to multiply with."""
        return self.weight.numel() if self.weight.device.type == "cpu" and fast_on_cpu() else 0

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs, (..., out_features), in the input's type."""
        rows = input.reshape(-1, self.in_features).float()
        if torch.is_grad_enabled():
            # Half precision, which autocast would take in the backward pass, does not hold sums.
            with torch.autocast(input.device.type, enabled=False):
                found: Tensor = _Product.apply(rows, self.bias, self)  # type: ignore[no-untyped-call]
        else:  # whose operators autocast leaves alone, but for the product in floating point
            found = self.outputs(rows)
        return found.view(*input.shape[:-1], self.out_features).to(input.dtype)

    def outputs(self, rows: Tensor) -> Tensor:
        """Return the outputs without a gradient, (rows, out_features), of rows in fp32."""
        integers, row_scale = round_rows(rows)
        return finish(self.product(integers), row_scale, self.bias)

    def product(self, integers: Tensor) -> Tensor:
        """Return the same as `float_product`, as fast as the device can.

        Args:
            integers: Of -127 to 127, (rows, in_features), fp32.
        """
        if integers.device.type == "cpu" and fast_on_cpu():
            if self._packed is None:
                packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
                self._packed = packed, torch.zeros(self.out_features, dtype=torch.int32)
            return _onednn_product(integers, *self._packed, self.scale)
        if integers.is_cuda and not (self.in_features % STEP or self.out_features % STEP):
            missing = max(0, ROWS - len(integers))
            padded = functional.pad(integers, (0, 0, 0, missing)).to(torch.int8)
            found = torch._int_mm(padded, self.weight.t())[: len(integers)]
            return found.float().mul_(self.scale)
        with torch.autocast(integers.device.type, enabled=False):
            return float_product(integers, Rounded(self.weight.float(), self.scale))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the processor wants: it can be neither copied nor saved."""
        return {**self.__dict__, "_packed": None}

    def _apply(self, *arguments: Any, **named: Any) -> Self:
        self._packed = None
        scale = self.scale
        super()._apply(*arguments, **named)  # type: ignore[no-untyped-call]
        # `.to(dtype)` is for weights in floating point; a scale in half precision would be wrong.
        self.scale = scale.to(self.scale.device)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._packed = None
        super()._load_from_state_dict(*arguments)


class OneDnnLinear4(OneDnnLinear):
    """The same with int4 weights, which its state holds in four bits each.

    There, `weight` is uint8, (out_features, in_features / 2, a half rounded up to whole groups),
    the first of two weights in the low bits, and `groups` the scale of each group.
    """

    bits: ClassVar[int] = 4
    groups: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool, device: Any = None) -> None:
        super().__init__(in_features, out_features, bias, device)
        shape = (out_features, -(-in_features // GROUP))
        self.register_buffer("groups", torch.empty(shape, dtype=torch.uint8, device=device))

    def hold(self, rounded: Rounded) -> None:
        """Take these weights."""
        super().hold(rounded)
        assert rounded.groups is not None
        self.groups = rounded.groups.to(torch.uint8)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        scales = self.groups.to(torch.int8).unsqueeze(-1)
        whole = (in_groups(self.weight.detach()) // scales).flatten(-2) + OFFSET
        low, high = whole.to(torch.uint8).view(len(whole), -1, 2).unbind(-1)
        destination[prefix + "weight"] = low | high << 4

    def _load_from_state_dict(self, state: Any, prefix: str, *arguments: Any) -> None:
        packed = state.get(prefix + "weight")
        if packed is not None and packed.dtype == torch.uint8:
            whole = torch.stack([packed & 15, packed >> 4], dim=-1).to(torch.int8) - OFFSET
            scales = state[prefix + "groups"].to(torch.int8).unsqueeze(-1)
            values = (whole.view(*scales.shape[:2], GROUP) * scales).flatten(-2)
            state[prefix + "weight"] = values[:, : self.in_features].contiguous()
        super()._load_from_state_dict(state, prefix, *arguments)


class _Product(torch.autograd.Function):
    """The layer's outputs; its gradient takes the rounding of the input for none."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bias: Tensor | None, layer: OneDnnLinear) -> Tensor:
        ctx.layer = layer
        return layer.outputs(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        of_rows = gradient @ ctx.layer.dequantized() if ctx.needs_input_grad[0] else None
        return of_rows, gradient.sum(0) if ctx.needs_input_grad[1] else None, None


@functools.cache
def fast_on_cpu() -> bool:
    """Return whether oneDNN multiplies integers on this processor, and without an error.

    Those that lack VNNI add pairs of products in 16 bits, which the largest would overflow.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    integers = torch.full((4, 64), float(LARGEST))
    integers[1::2] *= -1
    weight, ones = integers.repeat(4, 1), torch.ones(16)
    try:
        packed = torch.ops.onednn.qlinear_prepack(weight.to(torch.int8), None)
        found = _onednn_product(integers, packed, torch.zeros(16, dtype=torch.int32), ones)
    except RuntimeError:  # no kernel for this processor
        return False
    return torch.equal(found, float_product(integers, Rounded(weight, ones)))


def _onednn_product(integers: Tensor, packed: Tensor, zeros: Tensor, scale: Tensor) -> Tensor:
    """Return the product by the operator that torch's inductor emits for quantised linear layers.

    Source: torch/_inductor/fx_passes/quantization.py and aten/src/ATen/native/quantized/cpu/
    qlinear.cpp of torch 2.13. The tensors of quantised types beside it are deprecated.
    """
    found: Tensor = torch.ops.onednn.qlinear_pointwise.default(
        integers.to(torch.int8), 1.0, 0, packed, scale, zeros, None,
        1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return found


@dataclass(frozen=True, kw_only=True)
class OneDnnInt8(Format):
    """int8 weights by row and int8 activations by token, multiplied as integers."""

    bits: ClassVar[int] = 8
    rounding: ClassVar[float] = 0.02
    layer: ClassVar[type[OneDnnLinear]] = OneDnnLinear

    @property
    def name(self) -> str:
        """Short name for tables."""
        return f"onednn-int{self.bits}"

    def quantize(self, linear: nn.Linear, device: torch.device) -> OneDnnLinear:
        """Return the layer with its weights rounded."""
        return self.layer.of(linear).to(device)

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return a plain layer with the values that the integers stand for."""
        assert isinstance(layer, OneDnnLinear)
        return plain_linear(layer.dequantized(), layer)

    def owns(self, layer: nn.Module) -> bool:
        """Return whether this format made the layer."""
        return type(layer) is self.layer

    def restore(self, linear: nn.Linear, state: Mapping[str, Tensor]) -> OneDnnLinear:
        """Return the layer with these values."""
        layer = hollow(self.layer, linear)
        layer.load_state_dict(state, assign=True)
        layer.weight.requires_grad_(False)
        return layer

    def emulated(self, device: torch.device) -> str | None:
        """Return why the device does not multiply integers; None where it does."""
        if device.type == "cuda" or (device.type == "cpu" and fast_on_cpu()):
            return None
        what = "this processor (VNNI is missing)" if device.type == "cpu" else device.type
        return f"{what} has no exact product of 8-bit integers here, so they multiply as fp32"


@dataclass(frozen=True, kw_only=True)
class OneDnnInt4(OneDnnInt8):
    """int4 weights by groups of 32, held in 8 bits while they compute; only the file is smaller."""

    bits: ClassVar[int] = 4
    rounding: ClassVar[float] = 0.2
    layer: ClassVar[type[OneDnnLinear]] = OneDnnLinear4
