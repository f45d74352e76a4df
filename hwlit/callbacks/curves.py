"""The curves of a run: learning rate, validation, calibration, precision over recall."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from matplotlib.figure import Figure
from torch.optim import Optimizer

from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.predictions import Predictions
from hwlit.metrics.probabilities import (
    POINTS,
    Bin,
    average_precision,
    precision_recall,
    reliability,
)
from hwlit.records import Exhibit

RATES_KEPT = 1000


class Curves(Monitor):
    """Follows the learning rate and the validation metrics, and draws the test rows' curves.

    What it followed is in the checkpoints, so that a resumed run has whole curves.

    Args:
        predictions: The test rows as predicted; None where the test labels nothing.
    """

    def __init__(self, predictions: Predictions | None = None) -> None:
        super().__init__()
        self._predictions = predictions
        self._rates: list[tuple[int, float]] = []
        self._stride = 1  # of the steps whose rate is kept
        self._validations: list[dict[str, float]] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Note the rate of the update to come, and log it with the step's other metrics."""
        with self.counted():
            step, rate = trainer.global_step, float(optimizer.param_groups[0]["lr"])
            if step % self._stride == 0:
                self._rates.append((step, rate))
            if len(self._rates) > RATES_KEPT:
                self._rates, self._stride = self._rates[::2], 2 * self._stride
            # Lightning would drop what is logged at other steps, at the price of a log.
            every = trainer.log_every_n_steps  # type: ignore[attr-defined]
            if every and (step + 1) % every == 0:
                pl_module.log("train/learning_rate", rate)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the validation metrics."""
        if trainer.sanity_checking:
            return
        found = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        self._validations.append(
            {"epoch": trainer.current_epoch, "step": trainer.global_step, **found}
        )

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what was followed so far."""
        rates, validations = list(self._rates), list(self._validations)
        checkpoint["curves"] = {"rates": rates, "stride": self._stride, "validations": validations}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from what an earlier part of the run followed; a test goes on from nothing."""
        if trainer.state.fn == TrainerFn.FITTING and "curves" in checkpoint:
            kept = checkpoint["curves"]
            self._rates, self._stride = list(kept["rates"]), kept["stride"]
            self._validations = list(kept["validations"])

    def details(self) -> Mapping[str, Any]:
        """Return the curves, those that there are.

        `learning_rate` is that of the first parameter group, at most 100 points; a step is counted
        from 0 for the first update. A validation with a value that is no number is left out.
        """
        exhibits = [*self._of_training(), *self._of_test()]
        return {"exhibits": exhibits} if exhibits else {}

    def _of_training(self) -> Iterator[Exhibit]:
        if self._rates:
            steps, rates = zip(*thinned(self._rates, POINTS), strict=True)
            columns = {"step": list(steps), "rate": list(rates)}
            yield Exhibit("learning_rate", "curve", "learning rate", columns=columns)
        finite = [row for row in self._validations if all(map(math.isfinite, row.values()))]
        if finite:
            names = [name for name in ("step", *finite[0]) if all(name in row for row in finite)]
            columns = {name: [row[name] for row in finite] for name in names}
            yield Exhibit("validation", "curve", "validation", columns=columns)

    def _of_test(self) -> Iterator[Exhibit]:
        if self._predictions is None or not len(self._predictions.targets):
            return
        if not self._predictions.rows.finite:
            return
        bins = reliability(self._predictions.shares, self._predictions.targets)
        rows = [place.to_dict() for place in bins]
        if rows:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            yield Exhibit("reliability", "curve", "accuracy by confidence", columns=columns)
        for label, pair in self._predictions.ranked().items():
            area = average_precision(*pair)
            yield Exhibit(
                "precision_recall",
                "curve",
                f"precision over recall, {label}",
                columns=precision_recall(*pair),
                facts={"label": label, "average_precision": area},
            )


def thinned(points: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many of the points, evenly by number, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


def reliability_picture(bins: Sequence[Bin]) -> Figure:
    """Return accuracy over confidence as a picture, with the share of rows in each bin."""
    matplotlib.use("Agg")  # never a window, whatever the user's setting
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    rows = sum(place.count for place in bins)
    left, width = [place.low for place in bins], [place.high - place.low for place in bins]
    axes.bar(left, [b.count / rows for b in bins], width, align="edge", color="lightgray")
    axes.plot([0, 1], [0, 1], "--", color="gray", label="calibrated")
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o-", label="test rows")
    axes.set(xlabel="confidence", ylabel="accuracy (line), share of rows (bars)", xlim=(0, 1))
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left")
    return figure
