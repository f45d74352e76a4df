"""Formats of bitsandbytes: NF4 and FP4 with double quantisation, and LLM.int8.

Source: Dettmers et al. 2023, QLoRA, https://arxiv.org/abs/2305.14314; Dettmers et al. 2022,
LLM.int8(), https://arxiv.org/abs/2208.07339. The layers are those of bitsandbytes 0.50.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwlit.adapters.formats import Format, hollow, plain_linear
from hwlit.errors import IntegrityError


@dataclass(frozen=True, kw_only=True)
class FourBit(Format, ABC):
    """Blocks of 64 weights share a scale; each weight is one of 16 values.

    Args:
        double_quantization: Hold the scales in 8 bits as well: 4.1 bits a weight instead of 4.5.
    """

    bits: ClassVar[int] = 4
    package: ClassVar[str] = "bitsandbytes"
    kind: ClassVar[str]

    double_quantization: bool = True

    @property
    def name(self) -> str:
        """Short name for tables."""
        return self.kind

    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Module:
        """Return a `Linear4bit` that computes in the type of the given weights."""
        import bitsandbytes as bnb

        layer = hollow(
            bnb.nn.Linear4bit,
            linear,
            compute_dtype=linear.weight.dtype,
            compress_statistics=self.double_quantization,
            quant_type=self.kind,
        )
        weight = bnb.nn.Params4bit(
            linear.weight.detach(),
            requires_grad=False,
            compress_statistics=self.double_quantization,
            quant_type=self.kind,
            module=layer,
        )
        layer.weight, layer.bias = weight.to(device), linear.bias
        # On CPUs with AVX512-BF16 the first evaluation would repack the weights for a kernel that
        # has no gradient, and training after it would learn nothing, in silence.
        layer.support_avx512bf16_for_cpu = False
        moved: nn.Module = layer.to(device)
        return moved

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the plain layer.

        Raises:
            IntegrityError: The scales are missing or do not fit the weights.
        """
        import bitsandbytes as bnb

        assert isinstance(layer, bnb.nn.Linear4bit)
        weight = layer.weight
        values: Tensor = bnb.functional.dequantize_4bit(weight.data, weight.quant_state)
        return plain_linear(values, layer)

    def restore(self, linear: nn.Linear, state: Mapping[str, Tensor]) -> nn.Module:
        """Return the layer with these values."""
        import bitsandbytes as bnb

        scales = {n: t for n, t in state.items() if n.startswith("weight.")}
        weight = bnb.nn.Params4bit.from_prequantized(state["weight"], scales, device="cpu")
        if list(weight.quant_state.shape) != [linear.out_features, linear.in_features]:
            raise LookupError(f"a weight has the shape {list(weight.quant_state.shape)}")
        dtype = weight.quant_state.dtype
        layer = hollow(bnb.nn.Linear4bit, linear, compute_dtype=dtype, quant_type=self.kind)
        layer.weight = weight
        if linear.bias is not None:
            layer.bias = nn.Parameter(state["bias"], requires_grad=False)
        layer.support_avx512bf16_for_cpu = False
        made: nn.Module = layer
        return made

    def owns(self, layer: nn.Module) -> bool:
        """Return whether the layer holds weights of this kind."""
        weight: Any = dict(layer.named_parameters(recurse=False)).get("weight")
        return type(weight).__name__ == "Params4bit" and bool(weight.quant_type == self.kind)

    def emulated(self, device: torch.device) -> str | None:
        """Say that a CPU unpacks the whole weight at each call."""
        if device.type != "cpu":
            return None
        return "on a CPU each call unpacks the whole weight"

    def transformers_config(self, skipped: Sequence[str]) -> dict[str, Any]:
        """Return the `quantization_config` of transformers."""
        return {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": self.kind,
            "bnb_4bit_use_double_quant": self.double_quantization,
            "bnb_4bit_compute_dtype": "float32",
            "llm_int8_skip_modules": list(skipped),
        }


@dataclass(frozen=True, kw_only=True)
class NF4(FourBit):
    """The 16 values are quantiles of a normal distribution: best for weights that are normal."""

    kind: ClassVar[str] = "nf4"


@dataclass(frozen=True, kw_only=True)
class FP4(FourBit):
    """The 16 values are floating-point numbers of 4 bits: a little worse than NF4."""

    kind: ClassVar[str] = "fp4"
    rounding: ClassVar[float] = 0.3


@dataclass(frozen=True, kw_only=True)
class Int8(Format):
    """LLM.int8: a scale per row of weights and of inputs; inputs that stick out stay in fp16.

    Args:
        threshold: Inputs above this are computed in fp16; 0 takes all in int8.
    """

    bits: ClassVar[int] = 8
    package: ClassVar[str] = "bitsandbytes"
    rounding: ClassVar[float] = 0.03

    threshold: float = 6.0

    @property
    def name(self) -> str:
        """Short name for tables."""
        return "int8"

    def quantize(self, linear: nn.Linear, device: torch.device) -> nn.Module:
        """Return a `Linear8bitLt`."""
        import bitsandbytes as bnb

        layer = hollow(_movable(), linear, has_fp16_weights=False, threshold=self.threshold)
        weight = bnb.nn.Int8Params(
            linear.weight.detach().cpu(), requires_grad=False, has_fp16_weights=False
        )
        layer.weight, layer.bias = weight.to(device), linear.bias
        moved: nn.Module = layer.to(device)
        return moved

    def dequantize(self, layer: nn.Module) -> nn.Linear:
        """Return the plain layer, in fp32.

        Raises:
            IntegrityError: The scales are missing.
        """
        assert isinstance(layer, nn.Linear)
        state: Any = layer.state  # has the scales once the layer has been called
        weight: Any = layer.weight
        scales = weight.SCB if state.SCB is None else state.SCB
        if scales is None:
            raise IntegrityError("an 8-bit layer has lost its scales; load the weights again")
        values = weight.data.float() * (scales.float() / 127).unsqueeze(1)
        return plain_linear(values, layer)

    def owns(self, layer: nn.Module) -> bool:
        """Return whether the layer holds weights of this kind."""
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        return type(weight).__name__ == "Int8Params"

    def emulated(self, device: torch.device) -> str | None:
        """Say that a CPU has no kernel that is fast in quantising inputs."""
        if device.type != "cpu":
            return None
        return "on a CPU training unpacks the whole weight, and inference has no fast kernel"

    def transformers_config(self, skipped: Sequence[str]) -> dict[str, Any]:
        """Return the `quantization_config` of transformers."""
        return {
            "quant_method": "bitsandbytes",
            "load_in_8bit": True,
            "llm_int8_threshold": self.threshold,
            "llm_int8_skip_modules": list(skipped),
        }


@cache
def _movable() -> Any:
    """Return bitsandbytes' 8-bit layer, its scales moved with it.

    Its own `to` moves them, but Module moves its children without calling that: scales then stay
    on the device where the first call was made.
    """
    import bitsandbytes as bnb

    class MovableLinear8bit(bnb.nn.Linear8bitLt):  # type: ignore[misc]
        def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
            super()._apply(fn, recurse)
            for holder in (self.state, self.weight):
                if holder.CB is not None:
                    holder.CB = self.weight.data
                    holder.SCB = fn(holder.SCB).float()
            return self

    return MovableLinear8bit
