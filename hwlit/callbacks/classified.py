"""What the test rows of a classifier tell: each metric with its interval and what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_confusion_matrix

from hwlit.metrics.intervals import (
    accuracy,
    bootstrap_interval,
    cell_variance,
    f1_macro,
    f1_per_class,
    f1_positive,
    f1_weighted,
    macro_interval,
    mean_of_rows_interval,
    precision_macro,
    precision_per_class,
    precision_positive,
    recall_macro,
    recall_per_class,
    recall_positive,
    row_variance,
    wilson_interval,
)
from hwlit.metrics.probabilities import (
    average_precision,
    brier_scores,
    calibration_error,
    reliability,
)
from hwlit.metrics.resampling import average_precision_interval, calibration_error_interval
from hwlit.records import Combination, Measure, Reading, RowKind, Rows, RowTable, measured

# Margins. A point of a share is about what few would pay a costlier method for, and of the order of
# what another seed changes; of a loss, .02 nats are 2 % of the probability of the right class.
SHARE = Measure("quality", "max", (0.0, 1.0), margin=0.01)
MEASURES = {
    "accuracy": replace(SHARE, primary=True),
    "average_precision": SHARE,
    "loss": Measure("quality", "min", (0.0, None), margin=0.02),
    "brier_score": Measure("quality", "min", (0.0, 2.0), margin=0.01),
    "calibration_error": Measure("quality", "min", (0.0, 1.0), margin=0.01),
}
# What follows from the counts of true class by predicted class, beside the accuracy.
BY_CLASS: Mapping[Combination, Callable[[Tensor], Tensor]] = {
    "f1_macro": f1_macro,
    "f1_weighted": f1_weighted,
    "f1_positive": f1_positive,
    "precision_macro": precision_macro,
    "precision_positive": precision_positive,
    "recall_macro": recall_macro,
    "recall_positive": recall_positive,
}
MEASURES |= dict.fromkeys(BY_CLASS, SHARE)
MACRO = {
    "f1_macro": f1_per_class,
    "precision_macro": precision_per_class,
    "recall_macro": recall_per_class,
}
COUNTS = ("label", "prediction")
ONE_CLASS = "the test rows are all of one class, or none is of the positive one"
NOT_FINITE = "a logit of the test rows is no number"


@dataclass(frozen=True)
class Classified:
    """The test rows of a classifier.

    Args:
        labels: Class names in id order.
        targets: True class of each row, (rows,).
        logits: Logits of each row, (rows, classes).
    """

    labels: tuple[str, ...]
    targets: Tensor
    logits: Tensor

    @cached_property
    def finite(self) -> bool:
        """Whether every logit is a number."""
        return bool(self.logits.isfinite().all())

    @cached_property
    def guesses(self) -> Tensor:
        """Predicted class of each row, (rows,); not of shares, where near logits are equal."""
        return self.logits.argmax(dim=-1)

    @cached_property
    def shares(self) -> Tensor:
        """Probabilities of each row, (rows, classes), in fp64: fp32 ends at 1 too soon."""
        return self.logits.double().softmax(dim=-1)

    @cached_property
    def losses(self) -> Tensor:
        """Cross entropy of each row in nats, (rows,), in fp64."""
        return functional.cross_entropy(self.logits.double(), self.targets, reduction="none")

    @cached_property
    def confusion(self) -> Tensor:
        """Counts of the rows, (classes, classes), true class by predicted class."""
        counts: Tensor = multiclass_confusion_matrix(
            self.guesses, self.targets, num_classes=len(self.labels)
        )
        return counts

    def ranked(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return score and truth by class, for precision over recall: (rows,), bool (rows,).

        Of two classes only the positive one, of more those that occur; none that all rows are of,
        for its precision is 1 whatever the scores.
        """
        classes = range(1, 2) if len(self.labels) == 2 else range(len(self.labels))
        pairs = {self.labels[i]: (self.shares[:, i], self.targets == i) for i in classes}
        return {label: pair for label, pair in pairs.items() if pair[1].any() and not pair[1].all()}

    def readings(self, metrics: Mapping[str, float]) -> dict[str, Reading]:
        """Return every metric by its name, with its 95 % interval.

        Args:
            metrics: What the task computed, by name.
        """
        found = self._of_classes(metrics)
        return found | self._of_probabilities() if self.finite else found

    def absent(self) -> dict[str, str]:
        """Return what cannot be computed, with the reason."""
        names = ("loss", "brier_score", "calibration_error", "average_precision")
        if not self.finite:
            return dict.fromkeys(names, NOT_FINITE)
        return {} if self.ranked() else {"average_precision": ONE_CLASS}

    def table(self, row_ids: Sequence[int]) -> RowTable:
        """Return the rows: true and predicted class, loss and Brier score of each."""
        columns: dict[str, Sequence[Any]] = {
            name: [self.labels[place] for place in places.tolist()]
            for name, places in zip(COUNTS, (self.targets, self.guesses), strict=True)
        }
        kinds: dict[str, RowKind] = dict.fromkeys(COUNTS, "class")
        if self.finite:
            columns["loss"] = self.losses.tolist()
            columns["brier"] = brier_scores(self.shares, self.targets).tolist()
            kinds |= dict.fromkeys(("loss", "brier"), "real")
        return RowTable(row_ids, columns, kinds, truth=COUNTS[0])

    def _of_classes(self, metrics: Mapping[str, float]) -> dict[str, Reading]:
        """Return what follows from true and predicted class."""
        right, n = int((self.guesses == self.targets).sum()), len(self.targets)
        ends, how = wilson_interval(right, n), "Wilson interval"
        found = {"accuracy": self._of_counts("accuracy", accuracy, right / n, ends, how)}
        for name, statistic in BY_CLASS.items():
            if name in metrics:
                ends = (
                    macro_interval(self.confusion, MACRO[name])
                    if name in MACRO
                    else bootstrap_interval(self.confusion, statistic)
                )
                found[name] = self._of_counts(
                    name, statistic, metrics[name], ends, "bootstrap over rows"
                )
        return dict(found)

    def _of_counts(
        self,
        name: Combination,
        statistic: Callable[[Tensor], Tensor],
        value: float,
        ends: tuple[float, float],
        interval: str,
    ) -> Reading:
        reading = self._reading(name, value, ends, interval)
        return replace(
            reading,
            how=measured(f"test rows{self._left_out}") if name in MACRO else reading.how,
            rows=Rows(name, COUNTS),
            variance=cell_variance(self.confusion, statistic),
        )

    @property
    def _left_out(self) -> str:
        """What a mean over classes rests on, where it is not all of them."""
        counts = self.confusion
        seen = int((counts.sum(0) + counts.sum(1) > 0).sum())
        every = len(self.labels)
        return "" if seen == every else f"; {seen} of {every} classes occur or are predicted"

    def _of_probabilities(self) -> dict[str, Reading]:
        """Return loss, Brier score, calibration error and, where a class occurs, precision."""
        brier = brier_scores(self.shares, self.targets)
        found = {
            "loss": self._mean("loss", "loss", self.losses),
            "brier_score": self._mean("brier_score", "brier", brier),
        }
        error = calibration_error(reliability(self.shares, self.targets))
        low, high, variance = calibration_error_interval(self.shares, self.targets)
        found["calibration_error"] = replace(
            self._reading("calibration_error", error, (low, high), "bootstrap over rows"),
            how=measured("test rows; 15 bins of equal width by confidence"),
            interval="bootstrap over rows, less its bias",
            variance=variance,
        )
        pairs = list(self.ranked().values())
        if pairs:
            of = "the positive class" if len(self.labels) == 2 else f"{len(pairs)} classes, macro"
            area = sum(average_precision(*pair) for pair in pairs) / len(pairs)
            low, high, variance = average_precision_interval(pairs)
            found["average_precision"] = replace(
                self._reading("average_precision", area, (low, high), "bootstrap over rows"),
                how=measured(f"test rows; of {of}"),
                variance=variance,
            )
        return found

    def _mean(self, name: Any, column: str, values: Tensor) -> Reading:
        ends = mean_of_rows_interval(values, MEASURES[name].bounds)
        reading = self._reading(name, float(values.mean()), ends, "normal interval over rows")
        return replace(
            reading,
            unit="nat" if name == "loss" else "1",
            rows=Rows("mean", (column,)),
            variance=row_variance(values.numpy()),
        )

    def _reading(
        self,
        name: str,
        value: float,
        ends: tuple[float, float] | tuple[None, None],
        interval: str,
    ) -> Reading:
        return Reading(
            value,
            "1",
            measured("test rows"),
            ends[0],
            ends[1],
            len(self.targets),
            None if ends[0] is None else interval,
            MEASURES[name],
        )
