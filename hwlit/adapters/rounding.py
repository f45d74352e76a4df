"""Matrices as integers of 8 or 4 bits, symmetric, and their products.

Nothing is clipped and there are no zero points: a matrix is its integers times the scale of its
rows. `onednn_linear.py` says why so, and where it is from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LARGEST = 127
NIBBLE, GROUP_SCALES = 7, 18  # their product is the largest that fits into 8 bits
GROUP = 32
WHOLE = 1 << 24  # up to here fp32 has all integers
EXACT = WHOLE // LARGEST**2  # products of 8 bits whose sum is no larger, whatever they are
TINY = 1e-12  # in the place of a scale of 0: a row of zeros stays one


@dataclass(frozen=True)
class Rounded:
    """A matrix of weights as integers.

    Args:
        values: Integers of -127 to 127, (out_features, in_features), in floating point.
        scale: What each row is multiplied by, (out_features,).
        groups: int4's scale of each group as an integer of 1 to 18, (out_features, groups).
    """

    values: Tensor
    scale: Tensor
    groups: Tensor | None = None


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of a matrix as integers of -127 to 127, in fp32, and their scales.

    Args:
        x: Activations, (rows, features), fp32.

    Returns:
        The integers, (rows, features), and what each row is multiplied by, (rows, 1).
    """
    # At batch 1 calls and memory that no cache holds yet are felt: few operators, one buffer.
    buffer = x.abs()
    scale = buffer.amax(-1, keepdim=True).mul_(1 / LARGEST).add_(TINY)
    return torch.mul(x, scale.reciprocal(), out=buffer).round_(), scale


def round_weight(weight: Tensor, bits: int) -> Rounded:
    """Return weights as integers, symmetric, by row; nothing is clipped.

    Args:
        weight: (out_features, in_features), fp32.
        bits: 8, or 4 with a scale for each group of 32.
    """
    top = weight.abs().amax(-1, keepdim=True).clamp_min(TINY)
    if bits == 8:
        scale = top / LARGEST
        return Rounded((weight / scale).round(), scale.squeeze(-1))
    scale = top / (NIBBLE * GROUP_SCALES)
    whole = in_groups(weight / scale)
    # Divided back, the largest entry can lie above 126 by a rounding error.
    groups = (whole.abs().amax(-1, keepdim=True) / NIBBLE).sub(1e-4).ceil().clamp(1, GROUP_SCALES)
    values = ((whole / groups).round() * groups).flatten(-2)[:, : weight.shape[1]]
    return Rounded(values, scale.squeeze(-1), groups.squeeze(-1))


def float_product(integers: Tensor, rounded: Rounded) -> Tensor:
    """Return integers times weights and the scale of these, (rows, out_features), in fp32.

    The sums are exact and rounded once, as those of integers are.

    Args:
        integers: Of -127 to 127, (rows, in_features), fp32.
        rounded: The weights.
    """
    return exact_product(integers, rounded.values).mul_(rounded.scale)


def exact_product(integers: Tensor, values: Tensor) -> Tensor:
    """Return the product of two matrices of integers, (rows, out_features), in fp32.

    Where a sum can be too large for fp32, it is made of parts that are not, and these are added as
    integers.

    Args:
        integers: Of -127 to 127, (rows, in_features), fp32.
        values: Of -127 to 127, (out_features, in_features), fp32.
    """
    parts = -(-integers.shape[1] // EXACT)
    if parts <= 1:
        return functional.linear(integers, values)
    pairs = zip(integers.tensor_split(parts, 1), values.tensor_split(parts, 1), strict=True)
    sums = [functional.linear(*pair).to(torch.int32) for pair in pairs]
    return torch.stack(sums).sum(0, dtype=torch.int32).float()


def exact_in_one(weight: Tensor) -> bool:
    """Return whether no sum of a product with these integers can be too large for fp32.

    Args:
        weight: Of -127 to 127, (out_features, in_features), int8.
    """
    sums = torch.linalg.vector_norm(weight.float(), 1, dim=1)
    return bool((sums * LARGEST <= WHOLE).all())


def finish(product: Tensor, row_scale: Tensor, bias: Tensor | None) -> Tensor:
    """Return the outputs, (rows, out_features): the product by the scale of its rows, and the bias.

    Args:
        product: As `float_product` returns it; holds the outputs afterwards.
        row_scale: (rows, 1).
        bias: (out_features,).
    """
    if bias is None:
        return product.mul_(row_scale)
    return torch.addcmul(bias, product, row_scale, out=product)


def in_groups(matrix: Tensor) -> Tensor:
    """Return a matrix in groups, (rows, groups, 32), the last filled up with zeros."""
    missing = -matrix.shape[1] % GROUP
    return functional.pad(matrix, (0, missing)).view(len(matrix), -1, GROUP)
