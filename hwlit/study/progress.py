"""How far a run has come, by the files that it writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hwlit.bounded_files import LARGEST_METRICS, read_rows


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Args:
        step: The optimizer step; None before the first metric.
        epoch: The epoch, from 0.
        metric: The name of the last metric.
        value: Its value.
    """

    step: int | None = None
    epoch: int = 0
    metric: str = ""
    value: float | None = None

    def __str__(self) -> str:
        """Return the step, or nothing before the first."""
        return "" if self.step is None else f"epoch {self.epoch + 1}, step {self.step}"

    @property
    def told(self) -> str:
        """The last metric with its name, or nothing before the first."""
        return "" if self.value is None else f"{self.metric} {self.value:.4g}"


def read_progress(run: Path, metric: str) -> Progress:
    """Return the last step in a run's metrics.csv, and the last value that is worth showing.

    Args:
        run: The run's directory.
        metric: The reading that the study ranks by; its like on the validation rows is shown, else
            a loss.
    """
    try:
        rows = list(read_rows(run / "metrics.csv", LARGEST_METRICS))
    except (OSError, ValueError):
        return Progress()
    if not rows:
        return Progress()
    step, epoch = int(_last(rows, "step") or 0), int(_last(rows, "epoch") or 0)
    for name in (metric.replace("test/", "val/"), "val/loss", "train/loss"):
        if (value := _last(rows, name)) is not None:
            return Progress(step, epoch, name, value)
    return Progress(step, epoch)


def _last(rows: list[dict[str, str]], name: str) -> float | None:
    said = [row[name] for row in rows if row.get(name)]
    try:
        value = float(said[-1]) if said else None
    except (TypeError, ValueError):
        return None
    return value if value is None or math.isfinite(value) else None
