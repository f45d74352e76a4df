"""The test rows: what was predicted for each, and what they tell about quality."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities.plot import plot_confusion_matrix

from hwlit.callbacks.monitor import Monitor
from hwlit.metrics.intervals import (
    bootstrap_interval,
    f1_macro,
    f1_per_class,
    f1_positive,
    f1_weighted,
    mean_of_rows_interval,
    precision_macro,
    precision_positive,
    recall_macro,
    recall_positive,
    wilson_interval,
)
from hwlit.metrics.probabilities import (
    average_precision,
    brier_scores,
    calibration_error,
    reliability,
)
from hwlit.plain_text import in_markdown
from hwlit.records import (
    ClassFigures,
    Combination,
    Exhibit,
    Measure,
    Reading,
    RowKind,
    Rows,
    RowTable,
    measured,
)

# A point of a share is what few people would pay a costlier method for, and about what another seed
# changes; of a loss, .02 nats are 2 % of the probability of the right class.
SHARE = Measure("quality", "max", (0.0, 1.0), margin=0.01)
MEASURES = {
    "accuracy": replace(SHARE, primary=True),
    "average_precision": SHARE,
    "loss": Measure("quality", "min", (0.0, None), margin=0.02),
    "brier_score": Measure("quality", "min", (0.0, 2.0), margin=0.01),
    "calibration_error": Measure("quality", "min", (0.0, 1.0), margin=0.01),
}
# What follows from the counts of true class by predicted class.
BY_CLASS: Mapping[Combination, Callable[[Tensor], Tensor]] = {
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
    "f1_positive": f1_positive,
    "precision_macro": precision_macro,
    "precision_positive": precision_positive,
    "recall_macro": recall_macro,
    "recall_positive": recall_positive,
}
COUNTS = ("label", "prediction")
NOT_FINITE = "a logit of the test rows is no number"


class Predictions(Monitor):
    """Collects the logits of the test rows and turns them into readings, a table and a picture.

    Args:
        labels: Class names in id order.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self._labels = tuple(labels)
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self._metrics: dict[str, float] = {}
        self._readings: dict[str, Reading] | None = None
        self.row_ids = torch.empty(0, dtype=torch.long)
        self.targets = torch.empty(0, dtype=torch.long)
        self.logits = torch.empty(0, len(self._labels))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self._parts.clear()
        self._readings = None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the rows of the batch."""
        rows = (outputs[name].detach().cpu() for name in ("row_id", "labels", "logits"))
        self._parts.append(tuple(rows))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Order the rows; where there are other processes, their rows are awaited."""
        if trainer.world_size == 1:
            self.join([])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the metrics that the task logged."""
        self._metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if "test/" in k}
        self._readings = None

    def share(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return row ids, targets and logits of this process's test rows."""
        rows, targets, logits = (torch.cat(part) for part in zip(*self._parts, strict=True))
        return rows, targets, logits

    def join(self, others: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Put the rows of all processes in the order of their ids."""
        parts = zip(self.share(), *others, strict=True)
        rows, targets, logits = (torch.cat(part) for part in parts)
        order = rows.argsort()
        self.row_ids, self.targets, self.logits = rows[order], targets[order], logits[order]
        self._readings = None

    @property
    def guesses(self) -> Tensor:
        """Predicted class of the test rows, (rows,); not of shares, where near logits are equal."""
        return self.logits.argmax(dim=-1)

    @property
    def shares(self) -> Tensor:
        """Probabilities of the test rows, (rows, classes), in fp64: fp32 ends at 1 too soon."""
        return self.logits.double().softmax(dim=-1)

    def ranked(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return score and truth by class, for precision over recall: (rows,), bool (rows,).

        Of two classes only the positive one, of more those that occur.
        """
        classes = range(1, 2) if len(self._labels) == 2 else range(len(self._labels))
        pairs = {self._labels[i]: (self.shares[:, i], self.targets == i) for i in classes}
        return {label: pair for label, pair in pairs.items() if pair[1].any()}

    @property
    def confusion(self) -> Tensor:
        """Counts of the test rows, (classes, classes), true class by predicted class."""
        counts: Tensor = multiclass_confusion_matrix(
            self.guesses, self.targets, num_classes=len(self._labels)
        )
        return counts

    @property
    def losses(self) -> Tensor:
        """Cross entropy of each test row in nats, (rows,), in fp64."""
        return functional.cross_entropy(self.logits.double(), self.targets, reduction="none")

    def readings(self) -> Mapping[str, Reading]:
        """Return the test metrics, each with a 95 % interval; computed once."""
        if self._readings is None:
            found = {**self._of_classes(), **self._of_probabilities()} if len(self.targets) else {}
            self._readings = {f"test/{name}": reading for name, reading in found.items()}
        return self._readings

    def _of_classes(self) -> dict[str, Reading]:
        """Return what follows from true and predicted class."""
        n, confusion = len(self.targets), self.confusion
        right = int(confusion.diagonal().sum())
        found = {
            "accuracy": Reading(
                right / n,
                "1",
                measured("test rows"),
                *wilson_interval(right, n),
                n,
                "Wilson interval",
                MEASURES["accuracy"],
                Rows("accuracy", COUNTS),
            )
        }
        for name, statistic in BY_CLASS.items():
            if f"test/{name}" in self._metrics:
                found[name] = Reading(
                    self._metrics[f"test/{name}"],
                    "1",
                    measured("test rows"),
                    *bootstrap_interval(confusion, statistic),
                    n,
                    "bootstrap over rows",
                    SHARE,
                    Rows(name, COUNTS),
                )
        return found

    def _of_probabilities(self) -> dict[str, Reading]:
        """Return loss, Brier score, calibration error and, where a class occurs, precision."""
        n, shares = len(self.targets), self.shares
        found = {}
        if self.finite:
            found["loss"] = self._mean("loss", "nat", "test rows", self.losses)
            scores = brier_scores(shares, self.targets)
            found["brier_score"] = self._mean("brier", "1", "test rows; 0 to 2", scores)
        error = calibration_error(reliability(shares, self.targets))
        found["calibration_error"] = Reading(
            error,
            "1",
            measured("test rows; 15 bins of equal width by confidence"),
            n=n,
            measure=MEASURES["calibration_error"],
        )
        areas = [average_precision(*pair) for pair in self.ranked().values()]
        if areas:
            of = "the positive class" if len(self._labels) == 2 else f"{len(areas)} classes, macro"
            found["average_precision"] = Reading(
                sum(areas) / len(areas),
                "1",
                measured(f"test rows; of {of}"),
                n=n,
                measure=MEASURES["average_precision"],
            )
        return found

    def _mean(self, column: str, unit: str, how: str, values: Tensor) -> Reading:
        measure = MEASURES["loss" if column == "loss" else "brier_score"]
        low, high = mean_of_rows_interval(values, measure.bounds)
        return Reading(
            float(values.mean()),
            unit,
            measured(how),
            low,
            high,
            len(values),
            "normal interval over rows",
            measure,
            Rows("mean", (column,)),
        )

    @property
    def finite(self) -> bool:
        """Whether every logit is a number."""
        return bool(self.logits.isfinite().all())

    def absent(self) -> Mapping[str, str]:
        """Say why there is no quality where nothing was tested."""
        if not len(self.targets):
            return {"test/accuracy": "the run ended before the test"}
        return {} if self.finite else dict.fromkeys(("test/loss", "test/brier_score"), NOT_FINITE)

    def table(self) -> RowTable:
        """Return the test rows: true and predicted class, loss and Brier score of each."""
        columns: dict[str, Sequence[Any]] = {
            "label": [self._labels[target] for target in self.targets.tolist()],
            "prediction": [self._labels[guess] for guess in self.guesses.tolist()],
        }
        kinds: dict[str, RowKind] = dict.fromkeys(COUNTS, "class")
        if self.finite:
            columns["loss"] = self.losses.tolist()
            columns["brier"] = brier_scores(self.shares, self.targets).tolist()
            kinds |= dict.fromkeys(("loss", "brier"), "real")
        return RowTable(self.row_ids.tolist(), columns, kinds, truth="label")

    def details(self) -> Mapping[str, Any]:
        """Return the per-class table and the confusion matrix."""
        if not len(self.targets):
            return {}
        confusion = self.confusion
        hits, predicted, support = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
        f1 = f1_per_class(confusion.double()).nan_to_num(0.0)
        per_class = [
            ClassFigures(
                label,
                _share(hits[i], predicted[i]),
                _share(hits[i], support[i]),
                float(f1[i]),
                int(support[i]),
            )
            for i, label in enumerate(self._labels)
        ]
        matrix = Exhibit(
            "confusion_matrix",
            "matrix",
            "confusion matrix",
            labels=self._labels,
            counts=tuple(map(tuple, confusion.tolist())),
        )
        return {"per_class": per_class, "exhibits": [matrix]}

    def to_csv(self, texts: Mapping[int, str]) -> str:
        """Return the test rows as CSV: row_id, text, label, prediction, probability per class.

        Args:
            texts: The text of each row, by row id.
        """
        file = io.StringIO()
        # Quoted, for a lone carriage return in a text would else end the row.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(
            ["row_id", "text", "label", "prediction", *(f"p({label})" for label in self._labels)]
        )
        shares = self.logits.softmax(dim=-1)
        rows = zip(self.row_ids, self.targets, self.guesses, shares, strict=True)
        for row, target, guess, share in rows:
            names = self._labels[int(target)], self._labels[int(guess)]
            writer.writerow([int(row), texts[int(row)], *names, *(f"{p:.6f}" for p in share)])
        return file.getvalue()

    def picture(self) -> Figure:
        """Return the confusion matrix as a picture."""
        matplotlib.use("Agg")  # never a window, whatever the user's setting
        figure: Figure
        plain = [label.replace("$", r"\$") for label in self._labels]  # else it begins a formula
        figure, _ = plot_confusion_matrix(self.confusion, labels=plain)
        return figure

    def samples(self, texts: Mapping[int, str], count: int = 20) -> str:
        """Return a Markdown table of test rows: half the surest mistakes, half the first rows."""
        shares = self.logits.softmax(dim=-1)
        wrong = self.guesses != self.targets
        mistakes = (shares.amax(-1) * wrong).argsort(descending=True)[: int(wrong.sum())]
        chosen = [*mistakes[: count // 2].tolist(), *range(min(count // 2, len(shares)))]
        lines = ["| text | label | prediction | probability |", "|---|---|---|---|"]
        for i in dict.fromkeys(chosen):
            guess = int(self.guesses[i])
            text = " ".join(texts[int(self.row_ids[i])].split())[:160]
            told = text, self._labels[int(self.targets[i])], self._labels[guess]
            cells = [*map(in_markdown, told), f"{shares[i, guess]:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def _share(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole) if whole else 0.0
