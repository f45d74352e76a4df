"""Counts the FLOPs of what runs, by the shapes that each operator gets.

The formulas are those of `torch.utils.flop_counter`: matrix products, convolutions and attention,
a multiplication and an addition as two. Its FlopCounterMode passes over what it has no formula
for; this mode notes each such operator that multiplies, so that no part passes for the whole. It
runs every operator as it was called, which changes no bit of any result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

KNOWN = {"aten", "prim", "prims", "profiler", "c10d", "_c10d_functional"}
# Of these: names of what multiplies matrices or solves equations, in whatever kernel.
MULTIPLIES = re.compile(
    r"mm($|_)|mv($|_)|matmul|linear|conv(olution|_|[0-9]|$)|attention|encoder_layer|rnn|lstm|"
    r"gru($|_)|dot($|_)|addr$|linalg_|cholesky|_solve|fft_|matrix_exp|einsum|cdist|flex"
)
CHEAP = re.compile(r"linalg_(vector_norm|cross|diagonal|check_errors)|upsample")
# Of other libraries' operators, which are taken to multiply: those that only round or update.
QUIET = re.compile(r"^_*(de)?quantize|(de)?quant$|optimizer_update|pack$")


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    shapes = query.shape, key.shape, value.shape
    return int(sdpa_flop_count(*shapes))  # type: ignore[no-untyped-call]


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    shapes = grad.shape, query.shape, key.shape, value.shape
    return int(sdpa_backward_flop_count(*shapes))  # type: ignore[no-untyped-call]


def _vector(matrix: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _linear(rows: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return 2 * _rows(rows) * weight.numel()


def _linear_backward(
    rows: Tensor, gradient: Tensor, weight: Tensor, mask: Any, *_: Any, **__: Any
) -> int:
    return 2 * _rows(gradient) * weight.numel() * sum(map(bool, mask[:2]))


def _rows(activations: Tensor) -> int:
    return activations.numel() // activations.shape[-1]


aten = torch.ops.aten
FORMULAS: Mapping[Any, Callable[..., int]] = {
    **flop_registry,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.addmm_: flop_registry[aten.addmm],
    aten.baddbmm_: flop_registry[aten.baddbmm],
    aten._int_mm: flop_registry[aten.mm],
    aten.linear: _linear,  # where it comes whole: Apple's GPUs, inference_mode
    aten.linear_backward: _linear_backward,
    aten.mv: _vector,
    aten.dot: _vector,
}
# Of libraries that need not be installed, by name.
NAMED: Mapping[str, Callable[..., int]] = {
    "bitsandbytes.gemm_4bit": lambda a, b, shape, *_, **__: _rows(a) * 2 * prod(shape),
    "bitsandbytes.gemv_4bit": lambda a, b, shape, *_, **__: _rows(a) * 2 * prod(shape),
    "bitsandbytes.int8_linear_matmul": lambda a, b, *_, **__: _rows(a) * 2 * b.numel(),
    "bitsandbytes.int8_scaled_mm": lambda a, b, *_, **__: _rows(a) * 2 * b.numel(),
}


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts by the kind of numbers that are multiplied.

    Attributes:
        flops: FLOPs by kind: float32, tf32, bfloat16, float16, float64.
        unknown: The operators that multiply and have no formula, by name.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and count it."""
        kwargs = kwargs or {}
        packet = func._overloadpacket if isinstance(func, OpOverload) else func
        formula = FORMULAS.get(packet) or NAMED.get(str(packet))
        if formula is None and _multiplies(func):
            if torch.is_inference_mode_enabled() and packet is not func:
                with self:  # operators that are made of others come whole only there
                    found = func.decompose(*args, **kwargs)
                if found is not NotImplemented:
                    return found
            self.unknown[str(packet)] += 1
        found = func(*args, **kwargs)
        if formula is not None:
            try:
                self.flops[_kind(packet, args)] += int(formula(*args, **kwargs, out_val=found))
            except Exception:  # a formula that does not know the case: no run ends by it
                self.unknown[str(packet)] += 1
        return found


def _multiplies(func: Any) -> bool:
    space, _, rest = str(func).partition(".")
    name = rest.partition(".")[0] or space
    if space in KNOWN or not rest:
        return bool(MULTIPLIES.search(name)) and not CHEAP.search(name)
    return not QUIET.search(name)


def _kind(packet: Any, args: Any) -> str:
    # The bias of `addmm` comes first, and has the type of what is multiplied.
    first = next(argument for argument in args if isinstance(argument, Tensor))
    name = str(first.dtype).removeprefix("torch.")
    if name == "float32" and first.device.type == "cuda":
        convolution = "conv" in str(packet)
        backend = torch.backends.cudnn if convolution else torch.backends.cuda.matmul
        return "tf32" if backend.allow_tf32 else name
    return name
