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
from torchmetrics.utilities.plot import plot_confusion_matrix

from hwlit.callbacks.classified import Classified
from hwlit.callbacks.monitor import Monitor
from hwlit.exports.stock_classifier import Text
from hwlit.metrics.intervals import f1_per_class
from hwlit.plain_text import in_markdown
from hwlit.records import ClassFigures, Exhibit, Reading, RowTable


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
        logged = trainer.callback_metrics.items()
        self._metrics = {
            k.removeprefix("test/"): float(v) for k, v in logged if k.startswith("test/")
        }
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
    def rows(self) -> Classified:
        """The test rows as they are known now."""
        return Classified(self._labels, self.targets, self.logits)

    @property
    def guesses(self) -> Tensor:
        """Predicted class of the test rows, (rows,)."""
        return self.rows.guesses

    @property
    def shares(self) -> Tensor:
        """Probabilities of the test rows, (rows, classes), in fp64."""
        return self.rows.shares

    @property
    def confusion(self) -> Tensor:
        """Counts of the test rows, (classes, classes), true class by predicted class."""
        return self.rows.confusion

    def ranked(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return score and truth by class; see `Classified.ranked`."""
        return self.rows.ranked()

    def readings(self) -> Mapping[str, Reading]:
        """Return the test metrics, each with a 95 % interval; computed once."""
        if self._readings is None:
            found = self.rows.readings(self._metrics) if len(self.targets) else {}
            self._readings = {f"test/{name}": reading for name, reading in found.items()}
        return self._readings

    def absent(self) -> Mapping[str, str]:
        """Say why there is no quality where nothing was tested."""
        if not len(self.targets):
            return {"test/accuracy": "the run ended before the test"}
        return {f"test/{name}": reason for name, reason in self.rows.absent().items()}

    def table(self) -> RowTable:
        """Return the test rows for the file that runs are compared by."""
        return self.rows.table(self.row_ids.tolist())

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

    def to_csv(self, texts: Mapping[int, Text]) -> str:
        """Return the test rows as CSV: row_id, text, label, prediction, probability per class.

        Args:
            texts: The text of each row, by row id; of pairs both sentences, the second of which
                has the column `pair` after `text`.
        """
        file = io.StringIO()
        # Quoted, for a lone carriage return in a text would else end the row.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        pairs = any(not isinstance(text, str) for text in texts.values())
        names = ["row_id", "text", *["pair"][: int(pairs)], "label", "prediction"]
        writer.writerow([*names, *(f"p({label})" for label in self._labels)])
        shares = self.logits.softmax(dim=-1)
        rows = zip(self.row_ids, self.targets, self.guesses, shares, strict=True)
        for row, target, guess, share in rows:
            told = self._labels[int(target)], self._labels[int(guess)]
            given = _sentences(texts[int(row)])
            writer.writerow([int(row), *given, *told, *(f"{p:.6f}" for p in share)])
        return file.getvalue()

    def picture(self) -> Figure:
        """Return the confusion matrix as a picture."""
        matplotlib.use("Agg")  # never a window, whatever the user's setting
        figure: Figure
        plain = [label.replace("$", r"\$") for label in self._labels]  # else it begins a formula
        figure, _ = plot_confusion_matrix(self.confusion, labels=plain)
        return figure

    def samples(self, texts: Mapping[int, Text], count: int = 20) -> str:
        """Return a Markdown table of test rows: half the surest mistakes, half the first rows."""
        shares = self.logits.softmax(dim=-1)
        wrong = self.guesses != self.targets
        mistakes = (shares.amax(-1) * wrong).argsort(descending=True)[: int(wrong.sum())]
        chosen = [*mistakes[: count // 2].tolist(), *range(min(count // 2, len(shares)))]
        lines = ["| text | label | prediction | probability |", "|---|---|---|---|"]
        for i in dict.fromkeys(chosen):
            guess = int(self.guesses[i])
            sentences = _sentences(texts[int(self.row_ids[i])])
            text = " / ".join(" ".join(sentence.split())[:160] for sentence in sentences)
            told = text, self._labels[int(self.targets[i])], self._labels[guess]
            cells = [*map(in_markdown, told), f"{shares[i, guess]:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def _sentences(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _share(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole) if whole else 0.0
