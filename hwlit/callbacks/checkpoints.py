"""Checkpoints that survive a crash: durable writes, hashes, and never only one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from hwlit.errors import UsageError
from hwlit.storage import remove_with_manifest, verify, write_with_manifest

NEWEST_KEPT = 2  # a damaged newest one must not be the only one


class DurableCheckpointIO(CheckpointIO):
    """Writes each checkpoint durably with a manifest, and reads none that differs from its own.

    Args:
        saving: Gives the context in which a checkpoint is written, such as a phase of the ledger.
    """

    def __init__(self, saving: Callable[[], AbstractContextManager[Any]]) -> None:
        self._saving = saving

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint and its manifest."""
        facts = {"step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
        with self._saving():
            write_with_manifest(Path(path), lambda file: torch.save(checkpoint, file), facts)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint after comparing it with its manifest; never anything but plain data.

        Raises:
            IntegrityError: It is damaged or not one of ours.
        """
        verify(Path(path))
        loaded: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return loaded

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its manifest."""
        remove_with_manifest(Path(path))


class Checkpoints(ModelCheckpoint):
    """Saves at the end of each epoch; keeps the best by a metric and the newest two.

    Args:
        monitor: The metric that decides which checkpoint is the best, such as val/f1_macro.
        mode: Whether more of it is better (max) or less (min).
    """

    def __init__(self, monitor: str = "val/accuracy", mode: Literal["min", "max"] = "max") -> None:
        super().__init__(
            filename="epoch={epoch}-step={step}",
            auto_insert_metric_name=False,
            monitor=monitor,
            mode=mode,
            save_top_k=-1,
        )

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        saved = list(self.best_k_models)  # in the order of their steps
        for old in saved[:-NEWEST_KEPT]:
            if old != self.best_model_path:
                trainer.strategy.remove_checkpoint(old)
                del self.best_k_models[old]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where it is due, after checking that the metric exists.

        Raises:
            UsageError: No such metric was logged.
        """
        check_monitor(str(self.monitor), trainer)
        super().on_validation_end(trainer, pl_module)


def check_monitor(monitor: str, trainer: Trainer) -> None:
    """Refuse a metric that nobody logs.

    Raises:
        UsageError: The metric is not among those logged.
    """
    if monitor not in trainer.callback_metrics:
        known = ", ".join(sorted(k for k in trainer.callback_metrics if k.startswith("val/")))
        raise UsageError(f"--checkpoint.monitor {monitor} is not logged; choose one of: {known}")
