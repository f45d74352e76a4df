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

    Exact while the partial sums stay below 2^24, as they do for a thousand inputs of any values,
    and for many more where the signs differ.

    Args:
        integers: Of -127 to 127, (rows, in_features), fp32.
        rounded: The weights.
    """
    return functional.linear(integers, rounded.values).mul_(rounded.scale)


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
