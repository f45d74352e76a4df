"""Formats of torchao: int8 weights, int8 weights with dynamic int8 inputs, and int4 weights.

Not compiled, they save memory and rarely time: int8 with dynamic inputs is slower than fp32 at
batch 1 on small models. Source: https://docs.pytorch.org/ao; the tensors are those of torchao 0.18.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.formats import Format, HalfLinear, cast_linear, hollow, plain_linear
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Torchao(Format, ABC):
    """A linear layer whose weight is a tensor of torchao."""

    package: ClassVar[str] = "torchao"
    tensors: ClassVar[tuple[str, ...]]
    """Names of torchao's classes that hold the weights."""

    @abstractmethod
    def settings(self, device: torch.device) -> Any:
        """Return torchao's config of the format for a device."""

    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Module:
        """Return the layer with a weight of torchao.

        Raises:
            UsageError: torchao leaves a layer of this shape as it is.
        """
        from torchao.quantization import quantize_

        layer = hollow(type(linear), linear)
        layer.weight, layer.bias = linear.weight, linear.bias
        layer.weight.requires_grad_(False)
        quantize_(nn.Sequential(layer.to(device)), self.settings(device))
        if type(layer.weight).__name__ not in self.tensors:
            shape = f"{linear.out_features} x {linear.in_features}"
            raise UsageError(f"{self.name} takes no layer of {shape}; narrow the targets")
        return layer

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the plain layer."""
        assert isinstance(layer, nn.Linear)
        weight: Any = layer.weight
        values: Tensor = weight.dequantize()
        return plain_linear(values, layer)

    def owns(self, layer: nn.Module) -> bool:
        """Return whether the layer holds weights of this kind."""
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        return type(weight).__name__ in self.tensors

    def transformers_config(self, skipped: Sequence[str]) -> dict[str, Any]:
        """Return the `quantization_config` of transformers."""
        from torchao.core.config import config_to_dict

        return {
            "quant_method": "torchao",
            "quant_type": {"default": config_to_dict(self.settings(torch.device("cpu")))},
            "modules_to_not_convert": list(skipped),
        }


@dataclass(frozen=True, kw_only=True)
class Int8WeightOnly(Torchao):
    """A scale per row of weights; inputs stay as they are."""

    bits: ClassVar[int] = 8
    rounding: ClassVar[float] = 0.02
    tensors: ClassVar[tuple[str, ...]] = ("Int8Tensor",)

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "int8_weight_only"

    def settings(self, device: torch.device) -> Any:
        """Return torchao's config of the format."""
        from torchao.quantization import Int8WeightOnlyConfig

        return Int8WeightOnlyConfig(set_inductor_config=False)

    def emulated(self, device: torch.device) -> str | None:
        """Say that the weight is unpacked at each call, unless compiled."""
        return "each call unpacks the whole weight, for it is not compiled"


@dataclass(frozen=True, kw_only=True)
class Int8Dynamic(Torchao):
    """A scale per row of weights and of inputs, found at each call; no gradient passes through."""

    bits: ClassVar[int] = 8
    trains: ClassVar[bool] = False
    rounding: ClassVar[float] = 0.04
    tensors: ClassVar[tuple[str, ...]] = ("Int8Tensor",)

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "int8_dynamic"

    def settings(self, device: torch.device) -> Any:
        """Return torchao's config of the format."""
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig

        return Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)


@dataclass(frozen=True, kw_only=True)
class Int4WeightOnly(Torchao):
    """Groups of weights share a scale and a zero, 16 levels each; no gradient passes through.

    Args:
        group_size: Weights that share a scale: 32, 64 or 128, and a divisor of the inputs.
    """

    bits: ClassVar[int] = 4
    trains: ClassVar[bool] = False
    tensors: ClassVar[tuple[str, ...]] = ("Int4OpaqueTensor", "Int4TilePackedTo4dTensor")

    group_size: int = 32

    def __post_init__(self) -> None:
        if self.group_size not in (32, 64, 128):
            raise UsageError(f"group_size must be 32, 64 or 128, got {self.group_size}")

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "int4_weight_only"

    def settings(self, device: torch.device) -> Any:
        """Return torchao's config: the CPU has another packing than a GPU."""
        if device.type == "cpu":
            from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig

            return PrototypeInt4WeightOnlyConfig(
                group_size=self.group_size, set_inductor_config=False
            )
        from torchao.quantization import Int4WeightOnlyConfig

        return Int4WeightOnlyConfig(
            group_size=self.group_size,
            int4_packing_format="tile_packed_to_4d",
            set_inductor_config=False,
        )

    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Module:
        """Return the layer with a weight of torchao; off the CPU it computes in bf16.

        Raises:
            UsageError: torchao leaves a layer of this shape as it is.
        """
        if device.type != "cpu":  # PyTorch's kernel for GPUs knows no other type
            linear = cast_linear(HalfLinear, linear, torch.bfloat16)
        return super().quantize(linear, device)

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the plain layer; the packed weight tells its values by its product alone."""
        assert isinstance(layer, nn.Linear)
        rows = torch.eye(layer.in_features, device=layer.weight.device, dtype=layer.weight.dtype)
        return plain_linear(functional.linear(rows, layer.weight).t().contiguous(), layer)
