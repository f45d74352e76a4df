"""QAT: the network learns under the rounding that it will compute with, and is converted.

Idea: rounded after training, weights and activations lose what nobody asked the network to keep.
Here the linear layers compute with rounded weights and inputs while they learn, and the gradient
takes the rounding for the identity (straight through), so that learning makes up for it. Merging
converts: the layers hold int8 or int4 weights then, and the outputs are the same bit for bit, for
training computes with the same integers. The converted network is the one that is tested.

Costs the memory of full fine-tuning and a slower step: weights and inputs are rounded anew in it.
Chained after LoRA, which then learns below the rounding, the weights are frozen.

Loses to rounding after training (`hwlit quantize`) in time, always, and at 8 bits mostly in nothing
else: there is little to make up for. At 4 bits it is worth its steps where rows are many.

Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3; the gradient: Bengio et al.
2013, https://arxiv.org/abs/1308.3432, section 4; with LoRA below it: Bondarenko et al. 2024,
Low-Rank Quantization-Aware Training for LLMs, https://arxiv.org/abs/2406.06385.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

from hwlit.adapters.base import (
    Adapter,
    NotMergeableError,
    Wrapper,
    modules_with_parameters,
    unfreeze,
)
from hwlit.adapters.formats import shapes
from hwlit.adapters.injection import NAME
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8
from hwlit.adapters.quantized import layers_to_round, left_whole, told_whole
from hwlit.adapters.rounding import finish, float_product, round_rows, round_weight
from hwlit.errors import UsageError

FORMATS = {8: OneDnnInt8(), 4: OneDnnInt4()}


@dataclass(frozen=True, kw_only=True)
class Qat(Adapter):
    """Lets every parameter learn while linear layers round their weights and inputs.

    Args:
        learning_rate: Learning rate of all that learns.
        bits: Bits of a weight; inputs are rounded to 8.
        frozen: Leave the weights as they are, for another member of a chain to learn: LoRA, before.
        targets: Globs over module names; null takes every linear layer that is in no head.
    """

    learning_rate: float = 5e-5
    bits: Literal[8, 4] = 8
    frozen: bool = False
    targets: tuple[str, ...] | None = None
    heads: tuple[str, ...] = field(default=(), init=False, repr=False)
    device: torch.device = field(default=torch.device("cpu"), init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in FORMATS:
            raise UsageError(f"bits must be 8 or 4, got {self.bits}")

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Qat:
        """Return the adapter with the heads known, which it leaves alone, and the device.

        Raises:
            UsageError: The device cannot compute what the layers are converted to.
        """
        if reason := FORMATS[self.bits].unsupported(device):
            raise UsageError(f"QAT cannot convert its layers here ({reason}); take the CPU")
        return self.knowing(heads=heads, device=device)

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers that round, and of all others that learn.

        Raises:
            NoSiteError: A target matches nothing.
        """
        rounded = self.rounded(network)
        others = () if self.frozen else modules_with_parameters(network)
        return tuple(dict.fromkeys((*rounded, *others)))

    def rounded(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the layers that round.

        Raises:
            NoSiteError: A target matches nothing.
        """
        return layers_to_round(network, self.targets, self.heads)

    def attach(self, network: nn.Module) -> None:
        """Wrap the layers; let everything learn, unless the weights are frozen.

        Raises:
            NoSiteError: A target matches nothing.
            UsageError: A layer is none that can be rounded under another adapter.
        """
        if not self.frozen:
            unfreeze(network, ("",))
        for name in self.rounded(network):
            layer = network.get_submodule(name)
            if not _plain(layer) and not _plain_lora(layer):
                raise UsageError(
                    f"{name} is a {type(layer).__name__}, and QAT rounds plain layers and those of "
                    "plain LoRA without dropout; narrow the targets of one of the two"
                )
            network.set_submodule(name, RoundedLinear(layer, self.bits), strict=True)

    def merge(self, network: nn.Module) -> None:
        """Convert: put layers with integers in place; in a chain after what was learned is folded.

        Raises:
            NotMergeableError: Nothing was attached, or a weight is not finite.
        """
        layers = [(n, m) for n, m in network.named_modules() if isinstance(m, RoundedLinear)]
        if not layers:
            raise NotMergeableError("the network rounds in no layer; attach before merging")
        for name, layer in layers:
            plain = layer.base_layer
            assert isinstance(plain, nn.Linear)
            if not bool(plain.weight.isfinite().all()):
                raise NotMergeableError(f"{name} has weights that are not finite")
            made = FORMATS[self.bits].quantize(plain, plain.weight.device)
            network.set_submodule(name, made, strict=True)

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return what the layers are converted to, and how the device computes these."""
        made, names = FORMATS[self.bits], self.rounded(network)
        found = {"format": made.name, "layers": len(names), **left_whole(network, self.heads)}
        return {"converts_to": {**found, **made.facts(self.device, shapes(network, names))}}

    def remarks(self, network: nn.Module) -> tuple[str, ...]:
        """Return which matrices stay in full precision."""
        return told_whole(self.title, network, self.heads)

    @property
    def title(self) -> str:
        """Name of the method, such as `QAT int8`."""
        return f"QAT int{self.bits}"

    @property
    def wraps(self) -> bool:
        """Say that layers are wrapped."""
        return True

    @property
    def converts(self) -> bool:
        """Say that the merged network is the one to test."""
        return True

    @property
    def lossless(self) -> bool:
        """Say that the outputs change by rounding."""
        return False


class RoundedLinear(Wrapper):
    """A layer that computes with rounded weights and inputs, and learns as if it did not.

    Args:
        base_layer: A plain layer, or one that PEFT's LoRA wrapped: what is rounded is its sum.
        bits: Bits of a weight.
    """

    def __init__(self, base_layer: nn.Module, bits: int) -> None:
        super().__init__(base_layer)
        self.bits = bits

    @property
    def weight(self) -> Tensor:
        """The weights before rounding, (out_features, in_features)."""
        layer = self.base_layer
        if not isinstance(layer, LoraLinear):
            return layer.get_parameter("weight")
        weight = layer.get_base_layer().get_parameter("weight")
        # As PEFT merges, so that what is converted is what was trained, bit for bit.
        return weight + layer.get_delta_weight(NAME).to(weight.dtype)

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias, (out_features,), or None."""
        layer = self.base_layer
        plain = layer.get_base_layer() if isinstance(layer, LoraLinear) else layer
        assert isinstance(plain, nn.Linear)
        return plain.bias

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs, (..., out_features), in the input's type."""
        rows = input.reshape(-1, input.shape[-1]).float()
        # Half precision, which autocast would take, does not hold the sums of integers.
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            found: Tensor = _StraightThrough.apply(rows, self.weight.float(), bias, self.bits)  # type: ignore[no-untyped-call]
        return found.view(*input.shape[:-1], found.shape[-1]).to(input.dtype)


class _StraightThrough(torch.autograd.Function):
    """A linear layer of rounded matrices; the gradient goes through the rounding unchanged.

    Nothing is clipped, so there is nothing to mask; the scales count as constants.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, bits: int) -> Tensor:
        integers, row_scale = round_rows(rows)
        rounded = round_weight(weight, bits)
        ctx.save_for_backward(integers, row_scale, rounded.values, rounded.scale)
        return finish(float_product(integers, rounded), row_scale, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        integers, row_scale, values, scale = ctx.saved_tensors
        of_rows, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            (gradient * scale) @ values if of_rows else None,
            (gradient * row_scale).t() @ integers if of_weight else None,
            gradient.sum(0) if of_bias else None,
            None,
        )


def _plain(layer: nn.Module) -> bool:
    """Return whether a linear layer, or Falcon's own kind of it, holds its weights as they are."""
    return isinstance(layer, nn.Linear) and type(layer.weight) is nn.Parameter


def _plain_lora(layer: nn.Module) -> bool:
    """Return whether a layer is one of PEFT's LoRA whose update is a sum of matrices."""
    if not isinstance(layer, LoraLinear) or not _plain(layer.get_base_layer()):
        return False
    dropout = any(isinstance(each, nn.Dropout) for each in layer.lora_dropout.values())
    return not dropout and not any(layer.use_dora.values())
