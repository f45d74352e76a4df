"""How good predicted probabilities are: calibration, Brier score, precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import (
    binary_average_precision,
    binary_precision_recall_curve,
)

BINS = 15  # of equal width, as in Guo et al.
POINTS = 100


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence, the probability of the predicted class, lies in [low, high).

    Args:
        low: Lower edge.
        high: Upper edge; the last bin holds it.
        count: How many rows.
        confidence: Their mean confidence.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    def to_dict(self) -> dict[str, float]:
        """Return the fields as plain data."""
        return asdict(self)


def reliability(shares: Tensor, targets: Tensor) -> list[Bin]:
    """Return those of 15 bins of equal width that hold any row.

    Args:
        shares: Probabilities, (rows, classes).
        targets: Class ids, (rows,).
    """
    confidence, predicted = shares.max(dim=-1)
    right = (predicted == targets).to(confidence.dtype)
    edges, own = _edges(confidence.dtype), places(confidence)
    bins = []
    for place in sorted(set(own.tolist())):
        inside = own == place
        low, high = float(edges[place]), float(edges[place + 1])
        means = float(confidence[inside].mean()), float(right[inside].mean())
        bins.append(Bin(low, high, int(inside.sum()), *means))
    return bins


def places(confidence: Tensor) -> Tensor:
    """Return the bin of each row, (rows,), by its confidence, (rows,)."""
    edges = _edges(confidence.dtype)
    return (torch.bucketize(confidence, edges, right=True) - 1).clamp(max=BINS - 1)


def _edges(dtype: torch.dtype) -> Tensor:
    return torch.linspace(0, 1, BINS + 1, dtype=dtype)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error: mean distance of confidence and accuracy over rows.

    As torchmetrics' MulticlassCalibrationError (norm l1), but for confidences of exactly 1, which
    that puts into a bin of their own.

    Args:
        bins: What `reliability` returned.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3;
    https://arxiv.org/abs/1706.04599
    """
    rows = sum(place.count for place in bins)
    return sum(abs(place.accuracy - place.confidence) * place.count for place in bins) / rows


def brier_scores(shares: Tensor, targets: Tensor) -> Tensor:
    """Return of each row the squared distance of probabilities and truth, summed: 0 to 2, (rows,).

    Their mean is the Brier score.

    Arguments as of `reliability`.

    Source: Brier, Verification of Forecasts Expressed in Terms of Probability, 1950;
    https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    truth = functional.one_hot(targets, shares.shape[1]).to(shares.dtype)
    return (shares - truth).square().sum(dim=-1)


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Return the mean precision over recall steps.

    Args:
        scores: The probability of the class, (rows,).
        positive: Whether the row is of the class, bool, (rows,); at least one is.
    """
    return float(binary_average_precision(scores, positive.long()))


def precision_recall(scores: Tensor, positive: Tensor) -> dict[str, list[float]]:
    """Return at most 100 points of the curve, evenly along recall, from the highest threshold on.

    Arguments as of `average_precision`.

    Returns:
        `threshold`, `precision` and `recall` of calling a row positive from the threshold on.
    """
    precision, recall, thresholds = binary_precision_recall_curve(scores, positive.long())
    # Ascending in recall; the library's last point, precision 1 at recall 0, has no threshold.
    precision, recall = precision[:-1].flip(0), recall[:-1].flip(0)
    levels = torch.linspace(float(recall[0]), 1, POINTS, dtype=recall.dtype)
    # A rounded level may lie a hair above the recall that it stands for, 1 above all.
    places = torch.searchsorted(recall, levels).clamp(max=len(recall) - 1)
    chosen = sorted(set(places.tolist()))
    curve = {"threshold": thresholds.flip(0), "precision": precision, "recall": recall}
    return {name: [round(v, 6) for v in part[chosen].tolist()] for name, part in curve.items()}
