"""What a quantised format is: how the weights of a linear layer are held in fewer bits.

A format is a frozen dataclass of settings, chosen by its class path. Each back end owns one file
and imports its package there alone, when it is first needed: `bitsandbytes_linear.py`,
`torchao_linear.py`.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.base import plain_modules
from hwlit.errors import UsageError

LinearT = TypeVar("LinearT", bound=nn.Linear)
TRIAL = 64  # rows and columns of the layer that is tried: the least that every back end takes


@dataclass(frozen=True, kw_only=True)
class Format(ABC):
    """How the weights of a linear layer are held in fewer bits; holds settings and no state."""

    bits: ClassVar[int]
    """Bits that a weight takes, scales aside."""

    package: ClassVar[str] = ""
    """Package that computes it, as Python imports it; empty where torch alone does."""

    trains: ClassVar[bool] = True
    """Whether gradients pass through to the input, so that LoRA can learn on top."""

    rounding: ClassVar[float] = 0.2
    """Largest error of an output that is rounding and no fault, relative to the output's norm."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name for tables, such as `nf4`."""

    @abstractmethod
    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Module:
        """Return a layer on the device that computes as the given one, its weights quantised.

        The weights of the given layer must not be referred to any more, so that they are freed
        with it; the bias stays as it is. A bias or a weight is frozen where it was.

        Args:
            linear: A plain linear layer, in fp32 or a half precision.
            device: Where the network will compute.
        """

    @abstractmethod
    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return a plain layer with the values that the quantised weights stand for.

        Args:
            layer: One that `owns` says yes to.
        """

    @abstractmethod
    def owns(self, layer: nn.Module) -> bool:
        """Return whether this format made the layer (settings aside)."""

    def restore(self, linear: nn.Linear, state: Mapping[str, Tensor]) -> nn.Module:
        """Return the layer that `quantize` made, on the CPU.

        Args:
            linear: A plain layer of the same shape.
            state: The layer's state dict; a tensor that does not fit raises what torch raises.

        Raises:
            UsageError: Layers of this format are not saved.
        """
        raise UsageError(f"layers in {self.name} are not saved; take another format")

    def emulated(self, device: torch.device) -> str | None:
        """Return why the device does not compute the format by itself; None where it does.

        An emulated one saves memory and costs time.
        """
        return None

    def facts(self, device: torch.device, shapes: Collection[tuple[int, int]]) -> dict[str, Any]:
        """Return what the record says of how a device computes the format, plain data.

        Args:
            device: Where the network computes.
            shapes: in_features and out_features of its quantised layers.

        Returns:
            `why`: what `emulated` says, or nothing; and what a format knows once it has computed.
        """
        return {"why": self.emulated(device) or ""}

    def transformers_config(self, skipped: Sequence[str]) -> dict[str, Any] | None:
        """Return the `quantization_config` by which transformers quantises the same layers.

        Args:
            skipped: Full names of the linear layers that stay as they are.

        Returns:
            None where transformers has no such format.
        """
        return None

    def unsupported(self, device: torch.device) -> str | None:
        """Return in one clause why the format does not work on a device; None where it does.

        It is tried: a small layer is quantised there and computes forward and backward.
        """
        if self.package and importlib.util.find_spec(self.package) is None:
            return f'{self.package} is not installed: pip install "hwlit[qlora]"'
        try:
            return self._try(device)
        except Exception as error:  # of a back end and its kernels: whatever it raises, it fails
            told = str(error).strip().partition("\n")[0].rstrip(". ") or "no message"
            return f"{self.package or 'torch'} fails on {device.type}: {told}"

    def _try(self, device: torch.device) -> str | None:
        with torch.inference_mode(False), torch.enable_grad():
            linear = nn.Linear(TRIAL, TRIAL, device="meta")  # so it draws no random numbers
            # Fractional parts of multiples of the golden ratio: spread evenly over -0.5 to 0.5.
            weight = (torch.arange(TRIAL * TRIAL) * 0.618034 % 1 - 0.5).view(TRIAL, TRIAL)
            linear.weight = nn.Parameter(weight, requires_grad=False)
            linear.bias = nn.Parameter(torch.ones(TRIAL), requires_grad=False)
            batch = (torch.arange(4 * TRIAL) * 0.754878 % 1 - 0.5).view(4, TRIAL).to(device)
            batch.requires_grad_(self.trains)
            wanted = functional.linear(batch.detach().cpu(), weight, linear.bias)
            found: Tensor = self.quantize(linear, device)(batch)
            off = (found.detach().cpu() - wanted).norm() / wanted.norm()
            if not off <= self.rounding:
                return f"its outputs are off by {off:.2g} on {device.type}"
            if self.trains:
                (gradient,) = torch.autograd.grad(found.sum(), batch, allow_unused=True)
                if gradient is None or not bool(gradient.any()):
                    return f"no gradient passes through it on {device.type}"
        return None


class HalfLinear(nn.Linear):
    """A linear layer with weights in bf16, whatever it is given: it returns what it was given."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs, (..., out_features), in the input's type."""
        return super().forward(input.to(self.weight.dtype)).to(input.dtype)


@dataclass(frozen=True, kw_only=True)
class Bf16(Format):
    """Half the memory of fp32: no quantisation, and what is left where none works."""

    bits: ClassVar[int] = 16
    rounding: ClassVar[float] = 0.02

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "bf16"

    def quantize(self, linear: nn.Linear, device: torch.device) -> HalfLinear:
        """Return the layer in bf16."""
        return cast_linear(HalfLinear, linear, torch.bfloat16).to(device)

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the layer in fp32."""
        assert isinstance(layer, HalfLinear)
        return cast_linear(nn.Linear, layer, torch.float32)

    def owns(self, layer: nn.Module) -> bool:
        """Return whether the layer is in bf16 by this format."""
        return isinstance(layer, HalfLinear) and type(layer.weight) is nn.Parameter


@dataclass(frozen=True, kw_only=True)
class Fp32(Format):
    """Layers as they are: the last resort, which works everywhere."""

    bits: ClassVar[int] = 32

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "fp32"

    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Linear:
        """Return the layer as it is."""
        return linear

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the layer as it is."""
        assert isinstance(layer, nn.Linear)
        return layer

    def owns(self, layer: nn.Module) -> bool:
        """Return False: a layer that nothing was done to is nobody's."""
        return False

    def unsupported(self, device: torch.device) -> str | None:
        """Return None."""
        return None


def plain_linear(weight: Tensor, layer: nn.Linear) -> nn.Linear:
    """Return a frozen plain layer with new weights and the bias of another layer.

    Args:
        weight: The weights, (out_features, in_features).
        layer: Where the bias, and whether it learns, come from.
    """
    plain = hollow(nn.Linear, layer)
    plain.weight = nn.Parameter(weight.detach(), requires_grad=False)
    plain.bias = layer.bias
    return plain


def cast_linear(kind: type[LinearT], layer: nn.Linear, dtype: torch.dtype) -> LinearT:
    """Return a frozen layer of a class with the values of another layer, in another type.

    Args:
        kind: The class, made as `nn.Linear` is.
        layer: Where the values, and whether the bias learns, come from.
        dtype: The type of weights and bias.
    """
    cast = hollow(kind, layer)
    cast.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
    if layer.bias is not None:
        cast.bias = nn.Parameter(layer.bias.detach().to(dtype), layer.bias.requires_grad)
    return cast


def shapes(network: nn.Module, names: Sequence[str]) -> set[tuple[int, int]]:
    """Return in_features and out_features of linear layers, wrapped or not.

    Args:
        network: The network.
        names: The names of the layers, as if nothing were wrapped.
    """
    plain = dict(plain_modules(network))
    layers = (plain[name] for name in names)
    return {(e.in_features, e.out_features) for e in layers if isinstance(e, nn.Linear)}


def hollow(kind: type[LinearT], layer: nn.Linear, **settings: Any) -> LinearT:
    """Return a layer of a class with the shape of another one and no values: on `meta`.

    Args:
        kind: The class, made as `nn.Linear` is.
        layer: Where shape and mode come from.
        settings: What the class takes beside these.
    """
    bias = layer.bias is not None
    made = kind(layer.in_features, layer.out_features, bias, device="meta", **settings)
    return made.train(layer.training)
