"""Checkpoints that a run goes on from exactly: durable writes, hashes, and never only one.

When Lightning saves matters. Its state between two batches of an accumulation window lacks the
gradients; its state on the last batch of an epoch, validation included, resumes wrongly the second
time. So a checkpoint is written only after an optimizer step, and an epoch's last one only when the
epoch is over.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import XLACheckpointIO
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from hwlit.callbacks.loggers import MetricsFile
from hwlit.checkpoint_file import read_checkpoint
from hwlit.errors import IntegrityError, UsageError
from hwlit.signals import Signals
from hwlit.storage import (
    copy_with_manifest,
    is_own,
    manifest_path,
    manifests,
    remove_with_manifest,
    verify,
    write_with_manifest,
)

NEWEST_KEPT = 2  # a damaged newest one must not be the only one


class DurableCheckpointIO(XLACheckpointIO):
    """Writes each checkpoint durably with a manifest, and reads none that differs from its own.

    Nothing of the parent is left; a TPU's strategy takes no checkpoint writer of another class.

    Args:
        saving: Gives the context in which a checkpoint is written, such as a phase of the ledger.
    """

    def __init__(self, saving: Callable[[], AbstractContextManager[Any]]) -> None:
        self._saving = saving

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint and its manifest.

        Args:
            checkpoint: What Lightning saves.
            path: The file.
            storage_options: What the manifest says beside step and epoch, plain data.
        """
        # Tensors of a TPU are written as such and could be read on no other machine.
        checkpoint = move_data_to_device(checkpoint, torch.device("cpu"))
        facts = {"step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
        facts |= storage_options or {}
        with self._saving():
            write_with_manifest(Path(path), lambda file: torch.save(checkpoint, file), facts)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint after comparing it with its manifest; never anything but plain data.

        Raises:
            IntegrityError: It is damaged or not one of ours.
        """
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its manifest."""
        remove_with_manifest(Path(path))


@dataclass(frozen=True)
class Saved:
    """One checkpoint on disk.

    Args:
        path: The file.
        step: Its optimizer step.
        score: The monitored metric where it was validated.
        own: Whether the run wrote it; a copy that a user made may be the best, but never goes.
    """

    path: Path
    step: int
    score: float | None
    own: bool = True


class Checkpoints(Checkpoint):
    """Saves at the end of each epoch, after each validation and every few minutes.

    Keeps the best by a metric and the newest two. Where a signal asked the run to stop, saves after
    the step and ends it.

    Args:
        monitor: The metric that decides which checkpoint is the best, such as val/f1_macro; null
            takes the task's own: val/accuracy for classifiers, val/loss for personalization.
        mode: Whether more of it is better (max) or less (min); null takes min for a loss.
        every_minutes: Saves after so many minutes without a checkpoint, so that no more is lost.
        every_n_steps: Saves after every so many optimizer steps too; null does not.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        every_minutes: float = 10.0,
        every_n_steps: int | None = None,
    ) -> None:
        if not every_minutes > 0:
            raise UsageError(f"--checkpoint.every_minutes must be above 0, got {every_minutes}")
        if every_n_steps is not None and every_n_steps < 1:
            raise UsageError(f"--checkpoint.every_n_steps must be 1 or more, got {every_n_steps}")
        self.monitor, self._mode = monitor or "", mode
        self.every_minutes, self.every_n_steps = every_minutes, every_n_steps
        self.folder = Path("checkpoints")
        self.signals = Signals()
        self.saved: list[Saved] = []
        self._step = 0
        self._score: float | None = None
        self._saved_at = time.monotonic()
        self._was_stopping = False

    @property
    def mode(self) -> str:
        """Whether more of the metric is better (max) or less (min)."""
        return self._mode or ("min" if str(self.monitor).endswith("loss") else "max")

    @property
    def validated(self) -> bool:
        """Whether any checkpoint has a score, a finite one or not."""
        return any(saved.score is not None for saved in self.saved)

    @property
    def best(self) -> Saved | None:
        """The best checkpoint, of equals the run's own, and the earliest; never one without score.

        A score that is no number is none.
        """
        sign = 1 if self.mode == "max" else -1
        finite = [s for s in self.saved if s.score is not None and math.isfinite(s.score)]
        return max(finite, key=lambda saved: (sign * (saved.score or 0), saved.own), default=None)

    def adopt(self, folder: Path, step: int, trainer: Trainer) -> list[str]:
        """Take over the checkpoints of an earlier part of the run, up to a step.

        Of those of another run the best is copied, for that run may be removed.

        Returns:
            Why some are not taken over: they are damaged.
        """
        self.saved, damaged = [], []
        for path, facts in manifests(folder):
            if facts["step"] > step or facts.get("monitor", self.monitor) != self.monitor:
                continue
            try:
                score = verify(path).get("score")
            except IntegrityError as error:
                damaged.append(str(error))
            else:
                self.saved.append(Saved(path, facts["step"], score, is_own(path)))
        if folder == self.folder:
            return damaged
        best = self.best
        self.saved = []
        if best is not None:
            if trainer.is_global_zero:
                copy_with_manifest(best.path, self.folder)
            self.saved = [replace(best, path=self.folder / best.path.name, own=True)]
        return damaged

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count; signals wait for the end of the step from now on."""
        self._step, self._saved_at = trainer.global_step, time.monotonic()
        # Lightning does not save that early stopping had ended the training.
        trainer.should_stop = trainer.should_stop or self._was_stopping
        self.signals.install()  # Lightning has put its own handler before ours
        self.signals.deferred = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due or a signal waits, but only where Lightning resumes exactly."""
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True  # else Lightning leaves out the last validation
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        if not stepped or trainer.is_last_batch or _validates_next(trainer):
            return
        stopping = self._any_process(trainer, self.signals.received)
        if stopping or self._any_process(trainer, self._is_due()):
            # Lightning logs the step after this hook; a resumed run must find it logged.
            trainer._logger_connector.update_train_step_metrics()
            self._save(trainer, f"step={trainer.global_step}")
        if stopping:
            self.signals.stop()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the score, and save it; at the end of an epoch, when that is over."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        self._score = float(trainer.callback_metrics[self.monitor])
        if not trainer.is_last_batch:
            self._save_and_stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the epoch."""
        # Where the training ends at a validation within the epoch, this replaces its checkpoint.
        if self.saved and self.saved[-1].step == trainer.global_step:
            self._score = self.saved[-1].score
        self._save_and_stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let signals end the run at once again: the last checkpoint is written."""
        self.signals.deferred = False
        if self.signals.received:
            self.signals.stop()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add whether early stopping has ended the training."""
        over = trainer.global_step == trainer.max_steps  # which a run that goes on sets anew
        checkpoint["should_stop"] = trainer.should_stop and not over

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up whether early stopping had ended the training."""
        self._was_stopping = checkpoint.get("should_stop") is True

    def _is_due(self) -> bool:
        if self.every_n_steps is not None and self._step % self.every_n_steps == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * self.every_minutes

    def _any_process(self, trainer: Trainer, answer: bool) -> bool:
        """Return whether any process says so: saving and stopping need all of them."""
        if trainer.world_size == 1:
            return answer
        return bool(trainer.strategy.reduce_boolean_decision(answer, all=False))

    def _save_and_stop(self, trainer: Trainer) -> None:
        self._save(trainer, f"epoch={trainer.current_epoch}-step={trainer.global_step}")
        if self._any_process(trainer, self.signals.received):
            self.signals.stop()

    def _save(self, trainer: Trainer, name: str) -> None:
        path = self._place(trainer, name)
        facts = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        if self._score is not None:
            facts |= {"monitor": self.monitor, "score": self._score}
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):  # a resumed run must find the rows up to here
                logger.write()
        trainer.save_checkpoint(path, weights_only=False, storage_options=facts)
        self.saved = [saved for saved in self.saved if saved.path != path]
        self.saved.append(Saved(path, trainer.global_step, self._score))
        self._score, self._saved_at = None, time.monotonic()
        best = self.best
        for old in [saved for saved in self.saved if saved.own][:-NEWEST_KEPT]:
            if old != best:
                trainer.strategy.remove_checkpoint(old.path)
                self.saved.remove(old)

    def _place(self, trainer: Trainer, name: str) -> Path:
        """Return where to save: what has that name and was not written here is not ours, and stays.

        Where there is a manifest alone, the process was killed before the file had its name.
        """
        path, copies = self.folder / f"{name}.ckpt", itertools.count(2)
        while (path.exists() or manifest_path(path).exists()) and not is_own(path):
            path = self.folder / f"{name}-{next(copies)}.ckpt"
        # Of several processes the others look while the first may write already.
        return Path(trainer.strategy.broadcast(str(path)))


def _validates_next(trainer: Trainer) -> bool:
    """Return whether validation follows this batch: resumed here, Lightning would leave it out."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
