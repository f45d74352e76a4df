"""KID: how far two sets of pictures lie apart, as a network's features see them.

Source: Binkowski et al., Demystifying MMD GANs, 2018, https://arxiv.org/abs/1801.01401, section 4:
the unbiased estimate of the squared maximum mean discrepancy under a cubic polynomial kernel. It is
named after the features of Inception; over those of CLIP it is called CLIP-KID. The one of
torchmetrics draws subsets of one size from both sets and so cannot use the whole of small ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from hwlit.statistics.student import Z_95


def kernel_distance(generated: Tensor, real: Tensor) -> float:
    """Return KID, 0 in expectation where both sets come from one distribution; may be below it.

    Args:
        generated: Features of pictures, (generated, d), of any length, at least 2 rows.
        real: Features of those they are compared with, (real, d), at least 2 rows.
    """
    return float(_Sums(generated, real).distance())


def kernel_distance_interval(
    generated: Tensor, real: Tensor, groups: Sequence[Hashable]
) -> tuple[float, float] | None:
    """Return the 95 % jackknife interval of KID, its value +- 1.96 standard errors.

    Pictures of a group, such as those of one prompt, are alike, so whole groups are left out; those
    of a single group, and the real ones, one by one. A bootstrap would draw pictures twice, whose
    likeness to themselves an unbiased estimate has to leave out. It is somewhat too wide where the
    sets are alike.

    Args:
        generated: Features of pictures, (generated, d).
        real: Features of those they are compared with, (real, d).
        groups: The group of each generated picture.

    Returns:
        The interval; None where leaving out leaves fewer than two pictures.

    Source: Arvesen, Jackknifing U-Statistics, 1969, https://doi.org/10.1214/aoms/1177697287
    """
    names = list(dict.fromkeys(groups))
    if len(names) == 1:
        groups = names = list(range(len(generated)))
    places = torch.tensor([names.index(group) for group in groups])
    members = torch.nn.functional.one_hot(places, len(names)).double()
    if min(len(generated) - int(members.sum(dim=0).max()), len(real) - 1) < 2:
        return None
    sums = _Sums(generated, real)
    variance = 0.0
    for left_out in (sums.without_generated(members), sums.without_real()):
        squares = (left_out - left_out.mean()).square().sum()
        variance += float(squares) * (len(left_out) - 1) / len(left_out)
    value, half = float(sums.distance()), Z_95 * variance**0.5
    return value - half, value + half


class _Sums:
    """Kernels within and between two sets, with each picture's to itself left out."""

    def __init__(self, generated: Tensor, real: Tensor) -> None:
        self.generated, self.real = _kernel(generated, generated), _kernel(real, real)
        self.between = _kernel(generated, real)
        for within in (self.generated, self.real):
            within.fill_diagonal_(0)

    def distance(self) -> Tensor:
        m, n = self.between.shape
        return _distance(self.generated.sum(), m, self.real.sum(), n, self.between.sum())

    def without_generated(self, members: Tensor) -> Tensor:
        """Return the distances without each group, (groups,), of members 0 or 1, (m, groups)."""
        m, n = self.between.shape
        left_out = 2 * self.generated.sum(dim=1) @ members
        left_out -= ((self.generated @ members) * members).sum(dim=0)  # was counted twice
        within = self.generated.sum() - left_out
        between = self.between.sum() - self.between.sum(dim=1) @ members
        return _distance(within, m - members.sum(dim=0), self.real.sum(), n, between)

    def without_real(self) -> Tensor:
        """Return the distances without each real picture, (n,)."""
        m, n = self.between.shape
        within = self.real.sum() - 2 * self.real.sum(dim=1)
        between = self.between.sum() - self.between.sum(dim=0)
        return _distance(self.generated.sum(), m, within, n - 1, between)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first.double() @ second.double().T / first.shape[1] + 1) ** 3


def _distance(generated: Tensor, m: Tensor | int, real: Tensor, n: int, between: Tensor) -> Tensor:
    """Return the distance from the sums of kernels of m generated and n real pictures."""
    return generated / (m * (m - 1)) + real / (n * (n - 1)) - 2 * between / (m * n)
