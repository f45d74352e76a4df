"""Where curves go: one CSV file and TensorBoard, both inside the run's directory."""

from __future__ import annotations

import csv
import io
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from hwlit.bounded_files import LARGEST_METRICS, read_rows
from hwlit.callbacks.curves import reliability_picture
from hwlit.callbacks.event_files import EventWriter
from hwlit.callbacks.predictions import Predictions
from hwlit.errors import IntegrityError
from hwlit.exports.stock_classifier import Text
from hwlit.metrics.probabilities import reliability
from hwlit.paths import last_name
from hwlit.records import Record, encoded
from hwlit.storage import write_text

WRITE_EVERY = 10.0  # seconds between writes while training: a durable write waits for the disk


def _rows_before(path: Path, step: int) -> list[dict[str, Any]]:
    """Return the rows of a file of metrics up to an optimizer step, without their empty fields.

    Raises:
        IntegrityError: It is none that was written here.
    """
    try:
        rows = read_rows(path, LARGEST_METRICS)
        return [{k: v for k, v in row.items() if v} for row in rows if int(row["step"]) < step]
    except (OSError, ValueError, LookupError) as error:
        reason = "it has no column step" if isinstance(error, LookupError) else error
        raise IntegrityError(
            f"{path} is no file of hwlit's metrics, or damaged ({reason}); move it away"
        ) from error


class MetricsFile(Logger):
    """Keeps every logged metric in one CSV file with a row per step.

    Lightning's own CSVLogger deletes the file of an earlier run and adds a second file.

    Args:
        path: The file to write.
        resumed_at: The optimizer step at which a run goes on; rows from there on will come again.

    Raises:
        IntegrityError: What an earlier part of the run logged cannot be read.
    """

    def __init__(self, path: Path, resumed_at: int | None = None) -> None:
        super().__init__()
        self._path = path
        self._rows: list[dict[str, Any]] = []
        if resumed_at is not None and path.is_file():
            self._rows = _rows_before(path, resumed_at)
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
        """Add a row, unless it is the last one again: a checkpoint logs its step early."""
        row = {"step": step or 0, **metrics}
        if not self._rows or self._rows[-1] != row:
            self._rows.append(row)

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: they are in the run's config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Write the file, unless it was written a moment ago."""
        if time.monotonic() - self._written > WRITE_EVERY:
            self.write()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the file."""
        self.write()

    @rank_zero_only
    def write(self) -> None:
        """Write the file now."""
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
        resumed_at: The optimizer step at which a run goes on; what is shown from there on will
            come again.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        super().__init__(
            save_dir=folder,
            name="tensorboard",
            version="",  # the progress bar would show the end of its name
            default_hp_metric=False,
            purge_step=resumed_at,
        )

    @property
    def log_dir(self) -> str:
        """The folder of the event files; the parent would replace `$NAME` and `~` in it."""
        return str(self.root_dir)

    @property
    @rank_zero_experiment
    def experiment(self) -> EventWriter:
        """The writer, made when it is first asked for; its file's name tells of no host."""
        if self._experiment is None:
            self._experiment = EventWriter(log_dir=self.log_dir, **self._kwargs)
        assert isinstance(self._experiment, EventWriter)
        return self._experiment

    @rank_zero_only
    def save(self) -> None:
        """Flush; the parent would write hparams.yaml, which config.yaml says better."""
        self.experiment.flush()

    def add_row(self, record: Record) -> None:
        """Add a finished run's row to the HParams table.

        Args:
            record: The run's record.
        """
        facts = encoded(record.adapter)
        settings = {k: v for k, v in facts.items() if not isinstance(v, list)}
        settings |= {
            "model": last_name(record.model.hub_id or "?"),
            "device": record.device.name,
            "seed": record.seed,
        }
        if record.data.seed is not None:
            settings["data_seed"] = record.data.seed
        final = {f"final/{name}": reading.value for name, reading in record.readings.items()}
        self.log_hyperparams(settings, final)
        self.experiment.flush()

    def add_predictions(self, predictions: Predictions, texts: Mapping[int, Text]) -> None:
        """Add what the test rows of a classifier show: pictures, curves, samples.

        Args:
            predictions: The test rows as predicted.
            texts: The text of each test row, by row id.
        """
        self.experiment.add_figure("test/confusion_matrix", predictions.picture())
        bins = reliability(predictions.shares, predictions.targets)
        self.experiment.add_figure("test/reliability", reliability_picture(bins))
        for label, (scores, positive) in predictions.ranked().items():
            self.experiment.add_pr_curve(f"test/precision_recall/{label}", positive, scores)
        self.experiment.add_text("test/sample_predictions", predictions.samples(texts))
        self.experiment.flush()


def run_loggers(asked: Any, output: Path, step: int | None, *others: Logger) -> Any:
    """Return the loggers of a run: its own two, and those that were asked for.

    Args:
        asked: The trainer's `logger`: false for none at all, else one or several more.
        output: The run's directory.
        step: The optimizer step at which a run goes on; None for a new one.
        others: More.
    """
    if asked is False:
        return False
    more = [] if asked in (None, True) else asked if isinstance(asked, list) else [asked]
    own = [TensorBoard(output, step), MetricsFile(output / "metrics.csv", step)]
    return [*own, *more, *others]
