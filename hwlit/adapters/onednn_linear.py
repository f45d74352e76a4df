"""Linear layers that compute in 8-bit integers: int8 or int4 weights, activations as they come.

Idea: a row x of the input is rounded to 8 bits by its own largest entry, a row w of the weights by
its own, and the product of the integers, which is exact, is scaled once:
y = s_x s_w (x / s_x) (w / s_w) + bias. No zero points, nothing is clipped, and no row depends on
the others of its batch. Several kernels multiply integers, all to the same bits: a trial finds the
fastest (`kernel_choice.py`), and where none is faster than fp32 the same integers multiply in
floating point, which gives the same values and saves no time.

int4 has a scale for each group of 32 weights, itself an integer of 1 to 18 times that of the row:
the weights multiply as int8 then (7 x 18 = 126), as fast as these, and only the file is smaller.

Costs: weights of one byte, and a second copy of them, once the layer has computed, where the kernel
wants another order; the trial; two passes over the input, to find the scales and to round.

Loses in accuracy to weight-only formats where few features of the input are far larger than the
rest (large decoders); and its time where batches are so small that the passes count.

Source: Dettmers et al. 2022, LLM.int8(), https://arxiv.org/abs/2208.07339, section 2, vector-wise
quantisation; the scales of int4: Lin et al. 2024, QServe, https://arxiv.org/abs/2405.04532,
section 4.1, progressive group quantisation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from hwlit.adapters.formats import Format, hollow, plain_linear
from hwlit.adapters.kernel_choice import CHOOSER, Chooser, in_floating_point, to_plain
from hwlit.adapters.rounding import (
    GROUP,
    Rounded,
    finish,
    in_groups,
    round_rows,
    round_weight,
)

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
    chooser: ClassVar[Chooser] = CHOOSER
    """Decides what multiplies; one for all layers of the process."""

    scale: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool, device: Any = None) -> None:
        super().__init__(in_features, out_features, bias, device)
        weight = torch.empty_like(self.weight, dtype=torch.int8)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", torch.empty(out_features, device=device))
        self._packed: dict[Callable[[Tensor], Any], Any] = {}

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
        self._packed = {}

    def dequantized(self) -> Tensor:
        """Return the weights that the integers stand for, (out_features, in_features), fp32."""
        return self.weight * self.scale.unsqueeze(-1)

    @property
    def copy_bytes(self) -> int:
        """Bytes that kernels hold of the weights beside them: of those chosen so far for a shape.

        A layer gets a copy when it first computes with the kernel.
        """
        shape = self.in_features, self.out_features
        chosen = self.chooser.chosen(self.weight.device, {shape}).values()
        copies = {choice.kernel.pack: choice.kernel.copied for choice in chosen}
        return self.weight.numel() * sum(copies.values())

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

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # what is timed is not traced
    def product(self, integers: Tensor) -> Tensor:
        """Return the same as `float_product`, as fast as the device can.

        Args:
            integers: Of -127 to 127, (rows, in_features), fp32.
        """
        if not len(integers):
            return integers.new_empty(0, self.out_features)
        kernel = self.chooser.choose(integers, self.weight, self.scale)
        if kernel.pack not in self._packed:
            self._packed[kernel.pack] = kernel.pack(self.weight.detach())
        return kernel.multiply(integers, self._packed[kernel.pack], self.scale)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what kernels want: it can be neither copied nor saved."""
        return {**self.__dict__, "_packed": {}}

    def _apply(self, *arguments: Any, **named: Any) -> Self:
        self._packed = {}
        scale = self.scale
        super()._apply(*arguments, **named)  # type: ignore[no-untyped-call]
        # `.to(dtype)` is for weights in floating point; a scale in half precision would be wrong.
        self.scale = scale.to(self.scale.device)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._packed = {}
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
        """Return why the device does not multiply integers at a usual size; None where it does."""
        choice = self.layer.chooser.typical(device)
        if choice.kernel.integer:
            return None
        others = [*choice.dropped, *(n for n in choice.seconds if n != choice.kernel.name)]
        what = "this processor" if device.type == "cpu" else device.type
        tried = f" ({', '.join(others)} tried)" if others else ""
        return (
            f"{what} has no exact product of 8-bit integers that is faster than fp32{tried}, so "
            "they multiply as fp32"
        )

    def facts(self, device: torch.device, shapes: Collection[tuple[int, int]]) -> dict[str, Any]:
        """Return what multiplies at each size that was met, the times that decided, and why."""
        if not (chosen := self.layer.chooser.chosen(device, shapes)):
            return super().facts(device, shapes)
        return {"why": in_floating_point(chosen), "kernels": to_plain(chosen)}


@dataclass(frozen=True, kw_only=True)
class OneDnnInt4(OneDnnInt8):
    """int4 weights by groups of 32, held in 8 bits while they compute; only the file is smaller."""

    bits: ClassVar[int] = 4
    rounding: ClassVar[float] = 0.2
    layer: ClassVar[type[OneDnnLinear]] = OneDnnLinear4
