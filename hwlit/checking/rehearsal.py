"""A few training steps and evaluation batches, timed; then the training is asked to stop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from hwlit.devices.base import Device
from hwlit.devices.clock import Mark
from hwlit.records import Reading
from hwlit.signals import Signals

WARMUP_STEPS = 5
TIMED_STEPS = 20
FEWEST_STEPS = 3  # of a slow model, of which 20 would take too long
PATIENCE_S = 30.0


class Rehearsal(Callback):
    """Watches the first steps of a training and ends it after them.

    Args:
        device: The device that trains.
        signals: What turns signals into exceptions; installed again once Lightning has its own.
        tell: Is told how many steps are done, of how many.
    """

    def __init__(self, device: Device, signals: Signals, tell: Callable[[int, int], None]) -> None:
        self._device, self.signals, self._tell = device, signals, tell
        self._steps: list[tuple[Mark, Mark]] = []
        self._evaluations: list[tuple[Mark, Mark]] = []
        self._last: Mark | None = None
        self._began = time.perf_counter()
        self.batches = 0
        self.eval_slots = 0
        self.first_loss = float("nan")
        self.without_gradient: set[str] = set()
        self.peak_memory: dict[str, Reading] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a window for the peak memory; everything that learns still wants a gradient."""
        self.signals.install()
        learned = pl_module.network.named_parameters()  # type: ignore[union-attr]
        self.without_gradient = {name for name, p in learned if p.requires_grad}
        self._device.reset_peak_memory()
        self._began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Time no step from before an evaluation to behind it."""
        self._last = None

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note which tensors have a gradient by now."""
        parameters = pl_module.network.named_parameters()  # type: ignore[union-attr]
        self.without_gradient -= {name for name, p in parameters if p.grad is not None}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Time the step, from the end of the one before: waiting for data is in it."""
        mark = self._device.mark()
        if self.batches == 0:
            self.first_loss = float(outputs["loss"])
        self.batches += 1
        if self._last is not None:
            self._steps.append((self._last, mark))
        self._last = mark
        self._tell(self.batches, WARMUP_STEPS + TIMED_STEPS)
        enough = len(self._steps) >= FEWEST_STEPS
        late = time.perf_counter() - self._began > PATIENCE_S
        if self.batches >= WARMUP_STEPS + TIMED_STEPS or (enough and late):
            trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the peak of the steps alone, and time the evaluation from here."""
        if not self.peak_memory:
            self.peak_memory = self._device.peak_memory()
        self._last = self._device.mark()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Time the batch, and count its tokens with the padding."""
        mark = self._device.mark()
        assert self._last is not None
        self._evaluations.append((self._last, mark))
        self._last = mark
        self.eval_slots += batch["input_ids"].numel()

    @property
    def step_times(self) -> list[float]:
        """The seconds of the timed steps, without the warm-up where there are enough of them.

        The first step of all is never timed: nothing marks its start.
        """
        times = [self._device.elapsed(start, end) for start, end in self._steps]
        return times[WARMUP_STEPS - 1 :] if len(times) >= WARMUP_STEPS + FEWEST_STEPS else times

    @property
    def eval_time(self) -> float:
        """The seconds of the evaluation batches together."""
        return sum(self._device.elapsed(start, end) for start, end in self._evaluations)


def halves(times: list[float]) -> tuple[float, float, float]:
    """Return the mean of the times, of their quicker half, and of their slower half."""
    ordered = sorted(times)
    half = len(times) // 2
    quick, slow = ordered[: len(times) - half], ordered[half:]
    return statistics.fmean(times), statistics.fmean(quick), statistics.fmean(slow)
