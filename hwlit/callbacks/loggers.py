"""Where curves go: one CSV file and TensorBoard, both inside the run's directory."""

from __future__ import annotations

import csv
import io
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from hwlit.callbacks.predictions import Predictions
from hwlit.records import RunRecord
from hwlit.storage import write_text

WRITE_EVERY = 10.0  # seconds between writes while training: a durable write waits for the disk


class MetricsFile(Logger):
    """Keeps every logged metric in one CSV file with a row per step.

    Lightning's own CSVLogger deletes the file of an earlier run and adds a second file.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._rows: list[dict[str, float]] = []
        self._written = time.monotonic()

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self._path.name

    @property
    def version(self) -> str:
        """Return nothing: the run's directory is the version."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({"step": step or 0, **metrics})

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: they are in the run's config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Write the file, unless it was written a moment ago."""
        if time.monotonic() - self._written > WRITE_EVERY:
            self._write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the file."""
        self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        file = io.StringIO()
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, file.getvalue())
        self._written = time.monotonic()


class TensorBoard(TensorBoardLogger):
    """Writes event files straight into the run's directory, without a hparams.yaml beside them.

    Args:
        folder: The run's directory.
    """

    def __init__(self, folder: Path) -> None:
        # No version: the progress bar would show the end of its name.
        super().__init__(save_dir=folder, name="tensorboard", version="", default_hp_metric=False)

    @rank_zero_only
    def save(self) -> None:
        """Flush; the parent would write hparams.yaml, which config.yaml says better."""
        self.experiment.flush()

    def add_row(
        self, record: RunRecord, predictions: Predictions, texts: Mapping[int, str]
    ) -> None:
        """Add what a finished run has beside curves: HParams row, confusion matrix, test samples.

        Args:
            record: The run's record.
            predictions: The test rows as predicted.
            texts: The text of each test row, by row id.
        """
        facts = record.description
        settings = {k: v for k, v in facts["adapter"].items() if not isinstance(v, list)}
        settings |= {
            "model": facts["model"]["hub_id"],
            "device": facts["device"]["name"],
            "seed": facts["seed"],
        }
        final = {f"final/{name}": reading.value for name, reading in record.readings.items()}
        self.log_hyperparams(settings, final)
        self.experiment.add_figure("test/confusion_matrix", predictions.picture())
        self.experiment.add_text("test/sample_predictions", predictions.samples(texts))
        self.experiment.flush()
