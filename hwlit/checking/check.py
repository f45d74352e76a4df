"""`hwlit check`: what this machine has, and whether a run would work here, tried out."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from hwlit import cli
from hwlit.checking.findings import Findings
from hwlit.checking.machine import nearest_directory, show_machine
from hwlit.checking.tryout import EVAL_BATCHES, Tryout
from hwlit.console import PlainConsole
from hwlit.data.base import TextData
from hwlit.errors import UsageError
from hwlit.run_directory import take_directory
from hwlit.tasks.text_classification import TextClassification
from hwlit.temporaries import remove_stale, temporary_prefix
from hwlit.trainer_settings import one_device

NAME = "hwlit-check"  # of the directory that a run is tried out in
# What the run that is tried out has in place of what was asked for.
REHEARSED = {"min_epochs": None, "min_steps": None, "enable_progress_bar": False,
             "limit_val_batches": EVAL_BATCHES, "num_sanity_val_steps": 0}  # fmt: skip
SUBSTITUTE = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "precision": None}


def main(arguments: list[str]) -> int:
    """Show the machine, or try out the run that these arguments of fit ask for.

    Args:
        arguments: The command line after `check`, configs already found.

    Returns:
        The exit code 0.

    Raises:
        HwlitError: The first problem that was found; all are printed.
    """
    if any(word.partition("=")[0] == "--resume" for word in arguments):
        raise UsageError("check tries a new run out; give the run's config instead of --resume")
    if not arguments:
        show_machine(PlainConsole())
        return 0
    return cli.main(["fit", *arguments], CheckCLI)


class CheckCLI(cli.HwlitCLI):
    """Parses like fit, and tries the run out in a directory that is removed afterwards."""

    def instantiate_classes(self) -> None:
        """Make everything as fit does, in a directory of its own; go on after what is refused."""
        self.findings = Findings()
        self.substituted = False
        self.asked = super()._find_output()
        with self.findings.part("output") as say:
            held = take_directory(self.asked, self._name(), False)
            held.undo()
            held.release()
            say(f"{self.asked} can be written")
        # Beside the run, so that it is that disk which is tried; the rest can be tried anywhere.
        anywhere = Path(tempfile.gettempdir())
        place = anywhere if self.findings.problems else nearest_directory(self.asked)
        remove_stale(place / NAME)  # of a check that was killed
        self.folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(NAME), dir=place))
        try:
            super().instantiate_classes()
        except BaseException:
            self._remove()
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer that was asked for, on one device; else one on the CPU, to go on."""
        config = self.config[str(self.subcommand)]
        refusals = (MisconfigurationException, ImportError, ValueError, TypeError)
        with self.findings.part("device", refusals) as say:
            trainer = super().instantiate_trainer(**REHEARSED, **kwargs)
            processes, tried = trainer.world_size, ""
            if processes > 1:  # several processes would each check; one of them is tried
                one = one_device(config["trainer.devices"])
                trainer = super().instantiate_trainer(**REHEARSED, **one, **kwargs)
                tried = f"; tried on one of {processes} devices, and so are the times"
            device = self.device.describe()
            say(f"{device['kind']}: {device['name']}, precision {trainer.precision}{tried}")
            return trainer
        self.substituted = True
        for name, value in SUBSTITUTE.items():
            config[f"trainer.{name}"] = value
        return super().instantiate_trainer(**REHEARSED, **SUBSTITUTE, **kwargs)

    def fit(self, model: LightningModule, datamodule: LightningDataModule, **kwargs: Any) -> None:
        """Try the run out, and print what was found."""
        if not isinstance(model, TextClassification) or not isinstance(datamodule, TextData):
            self._remove()
            raise UsageError(
                f"check tries runs of TextClassification out, and {type(model).__name__} is none; "
                "start it by fit, which checks data, pipeline and disk before it trains"
            )
        asked = self.config["fit"].get("trainer.limit_val_batches")
        try:
            Tryout(
                self.trainer, model, datamodule, self.device, self.folder, self.findings, asked
            ).run(timed=not self.substituted)
        finally:
            self._remove()
        self.findings.conclude()

    def _find_output(self) -> Path:
        return self.folder

    def _loggers(self, output: Path) -> Any:
        return False

    def _remove(self) -> None:
        if self.lock is not None:
            self.lock.release()
        os.environ.pop("HWLIT_OUTPUT", None)
        shutil.rmtree(self.folder, ignore_errors=True)
