"""Weights & Biases beside the files of a run; by the extra `wandb` and `--wandb PROJECT`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from hwlit.errors import ResourceError, UsageError
from hwlit.records import Record, encoded

# What the settings of a working directory may say, which wandb reads before the user's own.
HARMLESS = ("entity", "project", "mode", "disabled", "anonymous", "organization")


class WeightsAndBiases(WandbLogger):
    """Sends curves and the finished row; `WANDB_MODE=offline` keeps them in the run's directory.

    Its own process runs beside the training, and counts in what is measured of the process tree.

    Args:
        project: The project's name.
        folder: The run's directory.
        settings: The run's resolved config.
    """

    def __init__(self, project: str, folder: Path, settings: Mapping[str, Any]) -> None:
        if not project.strip():
            raise UsageError("--wandb is empty; give the name of a project")
        # One for each directory, so that a run that goes on is the same run there.
        known = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        try:
            super().__init__(
                project=project, save_dir=folder, name=folder.name, id=known,
                config=settings,
            )  # fmt: skip
        except ModuleNotFoundError as error:
            raise UsageError('--wandb needs wandb; run: pip install "hwlit[wandb]"') from error

    @rank_zero_only
    def add_row(self, record: Record) -> None:
        """Add a finished run's row: every reading, and what the adapter was.

        Args:
            record: The run's record.
        """
        readings = {f"final/{name}": reading.value for name, reading in record.readings.items()}
        self.experiment.summary.update(readings)
        facts = {"adapter": encoded(record.adapter), "device": record.device.name}
        self.experiment.config.update(facts, allow_val_change=True)
        self.experiment.finish()

    @rank_zero_only
    def reach(self) -> None:
        """Begin the run there, before anything is trained.

        Raises:
            ResourceError: It cannot be reached, or there is no key.
        """
        try:
            _ = self.experiment
        except Exception as error:  # of a library: no key, no network, no permission
            reason = str(error).strip().partition("\n")[0]
            raise ResourceError(
                f"Weights & Biases cannot be reached ({reason}); run `wandb login`, or set "
                "WANDB_MODE=offline"
            ) from error


def projects(
    asked: str | None, folder: Path, settings: Callable[[], Mapping[str, Any]]
) -> list[Logger]:
    """Return the project that was asked for, where one was.

    Args:
        asked: Its name; None for none.
        folder: The run's directory.
        settings: Gives the run's resolved config.

    Raises:
        UsageError: Settings of the working directory lead elsewhere.
    """
    if asked is None:
        return []
    _check_settings(Path("wandb", "settings"))
    return [WeightsAndBiases(asked, folder, settings())]


def _check_settings(path: Path) -> None:
    """Refuse settings of the working directory by which the key and the run go elsewhere.

    Raises:
        UsageError: They say so.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for name in re.findall(r"^\s*([\w.-]+)\s*[=:]", text, re.MULTILINE):
        if name not in HARMLESS:
            raise UsageError(
                f"{path} of this directory sets {name}, and wandb would follow it with your key; "
                "remove the line, or set it by `wandb login` or in the environment"
            )


def reach_all(loggers: Iterable[Logger]) -> None:
    """Begin the run on Weights & Biases where it is asked for, before anything is trained.

    Args:
        loggers: The loggers of the trainer.

    Raises:
        ResourceError: It cannot be reached, or there is no key.
    """
    for logger in loggers:
        if isinstance(logger, WeightsAndBiases):
            logger.reach()
