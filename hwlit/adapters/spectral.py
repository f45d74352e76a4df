"""Layers whose weight is W = U diag(relu(s + strength * delta)) V^T, where delta alone learns.

Three forms of one product, by what they multiply (T positions, weight of m x n, r = min(m, n)):
factored, U (sigma * (V^T x)), never has the weight; recomposed, (W0 + U diag(d) V^T) x, makes it
anew in every call; residual, W0 x + U (d * (V^T x)), is exact at delta = 0 in any precision. Here
sigma = relu(s + strength * delta) and d = sigma - s. None has the diagonal matrix.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwlit.adapters.base import Wrapper
from hwlit.adapters.decomposition import Decomposition
from hwlit.errors import UsageError

NORMS = nn.LayerNorm | nn.GroupNorm


def factored_cost(rows: int, columns: int, positions: int, learning: bool) -> int:
    """Return the multiply-accumulates of U (sigma * (V^T x)); learning adds the input's gradient.

    Args:
        rows: m, the weight's outputs.
        columns: n, all its other sizes multiplied.
        positions: T, how often the weight is applied: tokens, or pixels of the output.
        learning: Whether a backward pass follows.
    """
    once = positions * min(rows, columns) * (rows + columns)
    return 2 * once if learning else once


def recomposed_cost(rows: int, columns: int, positions: int, learning: bool) -> int:
    """Return the multiply-accumulates of (W0 + U diag(d) V^T) x; see `factored_cost`.

    Learning adds the gradients of the input and of the weight, and that times V for delta's.
    """
    rebuilt, applied = rows * columns * min(rows, columns), positions * rows * columns
    return 2 * rebuilt + 3 * applied if learning else rebuilt + applied


class Spectral(Wrapper, ABC):
    """A wrapper with shifts of singular values.

    Args:
        base_layer: The layer; its parameters stay as they are.
        s: Singular values, (values,).
        rate: What `delta` counts for: 0.001 makes it learn at a thousandth of the learning rate.
    """

    s: Tensor

    def __init__(self, base_layer: nn.Module, s: Tensor, rate: float = 1.0) -> None:
        super().__init__(base_layer)
        self.register_buffer("s", s, persistent=False)
        self.delta = nn.Parameter(torch.zeros_like(s))
        self.rate = rate
        self.strength = 1.0

    @property
    def change(self) -> Tensor:
        """What is added to the singular values, d = relu(s + strength * shift) - s, (values,)."""
        return torch.relu(self.s + self.strength * self.rate * self.delta) - self.s

    @property
    @abstractmethod
    def update(self) -> Tensor:
        """What is added to the weight, U diag(d) V^T, in the shape of the weight."""

    def fold(self) -> nn.Module:
        """Add the update to the layer's own weight, and return the layer."""
        weight = self.base_layer.get_parameter("weight")
        with torch.no_grad():
            weight.copy_(weight + self.update)  # summed in fp32, rounded once
            for parameter in self.base_layer.parameters():  # what learned beside was fp32
                parameter.data = parameter.data.to(weight.dtype)
        return self.base_layer


class SpectralMatrix(Spectral):
    """A linear layer or convolution by the SVD of its weight.

    Args:
        base_layer: The layer.
        svd: The SVD of its weight.
        residual: Whether to take the residual form always, rather than the cheapest one.
    """

    base_layer: nn.Linear | nn.Conv2d
    u: Tensor
    vt: Tensor

    def __init__(self, base_layer: nn.Module, svd: Decomposition, residual: bool = False) -> None:
        super().__init__(base_layer, svd.s)
        weight, vt = self.base_layer.weight, svd.vt
        if vt.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last):
            vt = vt.contiguous(memory_format=torch.channels_last)
        self.register_buffer("u", svd.u, persistent=False)
        self.register_buffer("vt", vt, persistent=False)
        self.shape = weight.shape[0], math.prod(weight.shape[1:])
        self.source, self.always_residual = svd.source, residual
        self.learned_in = ""  # form of the last call that was learned from

    @property
    def update(self) -> Tensor:
        """What is added to the weight."""
        fine = self.s.dtype
        return self._rebuilt(self.u.to(fine), self.vt.to(fine))

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer gives for x, in the cheapest form for its positions."""
        learning = torch.is_grad_enabled()
        form = "residual" if self.always_residual else self.cheapest(x, learning)
        if learning:
            self.learned_in = form
        forms = {
            "factored": self.factored,
            "recomposed": self.recomposed,
            "residual": self.residual,
        }
        return forms[form](x)

    def cheapest(self, x: Tensor, learning: bool) -> str:
        """Return the name of the form with the fewest multiply-accumulates for an input."""
        asked = (*self.shape, self.positions(x), learning)
        return "factored" if factored_cost(*asked) <= recomposed_cost(*asked) else "recomposed"

    def factored(self, x: Tensor) -> Tensor:
        """Return U (sigma * (V^T x)) + bias."""
        return self._expanded(self._projected(x), self.change + self.s, self._bias())

    def recomposed(self, x: Tensor) -> Tensor:
        """Return (W0 + U diag(d) V^T) x + bias."""
        weight = self.base_layer.weight + self._rebuilt(self.u, self.vt)
        return self._applied(x, weight, self._bias())

    def residual(self, x: Tensor) -> Tensor:
        """Return W0 x + bias + U (d * (V^T x))."""
        plain = self._applied(x, self.base_layer.weight, self._bias())
        return plain + self._expanded(self._projected(x), self.change, None)

    def _rebuilt(self, u: Tensor, vt: Tensor) -> Tensor:
        product = (u * self.change.to(u.dtype)) @ vt.flatten(1)
        return product.view(self.base_layer.weight.shape)

    def _bias(self) -> Tensor | None:
        bias = self.base_layer.bias
        return None if bias is None else bias.to(self.u.dtype)

    @abstractmethod
    def positions(self, x: Tensor) -> int:
        """Return how often the weight is applied to an input."""

    @abstractmethod
    def _projected(self, x: Tensor) -> Tensor:
        """Return V^T x."""

    @abstractmethod
    def _expanded(self, x: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """Return U (values * x) + bias."""

    @abstractmethod
    def _applied(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what the layer gives with another weight."""


class SpectralLinear(SpectralMatrix):
    """A linear layer."""

    base_layer: nn.Linear

    def __init__(self, base_layer: nn.Module, svd: Decomposition, residual: bool = False) -> None:
        super().__init__(base_layer, svd, residual)
        # The pipeline of SDXL reads its time embedding's, to see what it is called with.
        self.in_features = self.base_layer.in_features

    def positions(self, x: Tensor) -> int:
        """Return the number of tokens."""
        return x.numel() // self.base_layer.in_features

    def _projected(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.vt)

    def _expanded(self, x: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        # In half precision the values would lose their small changes.
        return functional.linear((x * values).to(x.dtype), self.u, bias)

    def _applied(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(x, weight, bias)


class SpectralConv2d(SpectralMatrix):
    """A convolution: V^T is one with r outputs, U one of 1 x 1.

    Raises:
        UsageError: It has groups, or pads otherwise than by a number of zeros.
    """

    base_layer: nn.Conv2d

    def __init__(self, base_layer: nn.Module, svd: Decomposition, residual: bool = False) -> None:
        super().__init__(base_layer, svd, residual)
        padding, mode = self.base_layer.padding, self.base_layer.padding_mode
        if self.base_layer.groups != 1 or mode != "zeros" or isinstance(padding, str):
            raise UsageError(
                "SVDiff takes convolutions of one group that pad by a number of zeros, and not "
                f"{self.base_layer}; narrow the targets"
            )
        self._padding = padding

    def positions(self, x: Tensor) -> int:
        """Return the pixels of the output, over all pictures."""
        sides = zip(
            x.shape[-2:],
            self.base_layer.kernel_size,
            self.base_layer.stride,
            self._padding,
            self.base_layer.dilation,
            strict=True,
        )
        outputs = [
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, padding, dilation in sides
        ]
        return math.prod(outputs) * (len(x) if x.ndim == 4 else 1)

    def _projected(self, x: Tensor) -> Tensor:
        return self._applied(x, self.vt, None)

    def _expanded(self, x: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        # In half precision the values would lose their small changes.
        scaled = (x * values[:, None, None]).to(x.dtype)
        return functional.conv2d(scaled, self.u[:, :, None, None], bias)

    def _applied(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.base_layer
        return functional.conv2d(x, weight, bias, layer.stride, self._padding, layer.dilation)


class SpectralScale(Spectral):
    """A norm by its scale: a 1 x C matrix of one singular value, or C matrices of 1 x 1.

    Args:
        base_layer: The norm.
        rate: See `Spectral`.
        per_channel: Whether each entry of the scale has a shift of its own.
    """

    base_layer: nn.LayerNorm | nn.GroupNorm
    vt: Tensor

    def __init__(self, base_layer: nn.Module, rate: float, per_channel: bool) -> None:
        scale = base_layer.get_parameter("weight").detach()
        fine = scale.to(torch.promote_types(scale.dtype, torch.float32))
        if per_channel:
            s, vt = fine.abs(), torch.where(fine < 0, -1.0, 1.0).to(fine.dtype)
        else:
            s, vt = fine.norm().reshape(1), functional.normalize(fine, dim=0)
        super().__init__(base_layer, s, rate)
        self.register_buffer("vt", vt, persistent=False)

    @property
    def update(self) -> Tensor:
        """What is added to the scale, (C,)."""
        return self.change * self.vt

    def forward(self, x: Tensor) -> Tensor:
        """Return what the norm gives for x."""
        layer = self.base_layer
        # Autocast takes norms to fp32 where it must; without it all three are of one type.
        kept = torch.is_autocast_enabled(x.device.type)
        dtype = self.s.dtype if kept else x.dtype
        weight = (layer.weight + self.update).to(dtype)
        bias = None if layer.bias is None else layer.bias.to(dtype)
        if isinstance(layer, nn.GroupNorm):
            return functional.group_norm(x, layer.num_groups, weight, bias, layer.eps)
        return functional.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
