"""The test rows: what was predicted for each, and what they tell about quality."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.utilities.plot import plot_confusion_matrix

from hwlit.callbacks.monitor import Monitor
from hwlit.metrics.intervals import (
    bootstrap_interval,
    f1_macro,
    f1_per_class,
    f1_positive,
    f1_weighted,
    wilson_interval,
)
from hwlit.metrics.probabilities import (
    average_precision,
    brier_score,
    calibration_error,
    reliability,
)
from hwlit.plain_text import in_markdown
from hwlit.records import Reading

BOOTSTRAPPED = {
    "test/f1_macro": f1_macro,
    "test/f1_weighted": f1_weighted,
    "test/f1_positive": f1_positive,
}


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
        self.row_ids = torch.empty(0, dtype=torch.long)
        self.targets = torch.empty(0, dtype=torch.long)
        self.logits = torch.empty(0, len(self._labels))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self._parts.clear()

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

    def readings(self) -> Mapping[str, Reading]:
        """Return the test metrics, with a 95 % interval on accuracy and F1."""
        n = len(self.targets)
        if n == 0:
            return {}
        found = {
            name: Reading(value, "nat" if name == "test/loss" else "1", "measured: test rows", n=n)
            for name, value in self._metrics.items()
        }
        right = int((self.guesses == self.targets).sum())
        low, high = wilson_interval(right, n)
        found["test/accuracy"] = Reading(
            right / n, "1", "measured: test rows; Wilson interval", low, high, n
        )
        for name in BOOTSTRAPPED.keys() & found.keys():
            low, high = bootstrap_interval(self.confusion, BOOTSTRAPPED[name])
            found[name] = Reading(
                found[name].value, "1", "measured: test rows; bootstrap interval", low, high, n
            )
        return found | self._of_probabilities()

    def _of_probabilities(self) -> dict[str, Reading]:
        """Return calibration error, Brier score and, where a class occurs, average precision."""
        n, shares = len(self.targets), self.shares
        error = calibration_error(reliability(shares, self.targets))
        found = {
            "test/calibration_error": Reading(
                error, "1", "measured: test rows; 15 bins of equal width by confidence", n=n
            ),
            "test/brier_score": Reading(
                brier_score(shares, self.targets), "1", "measured: test rows; 0 to 2", n=n
            ),
        }
        areas = [average_precision(*pair) for pair in self.ranked().values()]
        if areas:
            of = "the positive class" if len(self._labels) == 2 else f"{len(areas)} classes, macro"
            found["test/average_precision"] = Reading(
                sum(areas) / len(areas), "1", f"measured: test rows; of {of}", n=n
            )
        return found

    def absent(self) -> Mapping[str, str]:
        """Say why there is no quality where nothing was tested."""
        return {} if len(self.targets) else {"test/accuracy": "the run ended before the test"}

    def details(self) -> Mapping[str, Any]:
        """Return the per-class table and the confusion matrix."""
        if not len(self.targets):
            return {}
        confusion = self.confusion
        hits, predicted, support = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
        f1 = f1_per_class(confusion.double()).nan_to_num(0.0)
        per_class = [
            {
                "label": label,
                "precision": _share(hits[i], predicted[i]),
                "recall": _share(hits[i], support[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(self._labels)
        ]
        return {
            "per_class": per_class,
            "confusion_matrix": {"labels": list(self._labels), "counts": confusion.tolist()},
        }

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
