"""Step times and throughput of the train loop, with the first steps dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from hwlit.callbacks.monitor import Monitor
from hwlit.devices.base import Device
from hwlit.devices.clock import Mark
from hwlit.records import COST, Reading, counted


class Steps(Monitor):
    """Times every training step and counts the samples and tokens that went through.

    A step is one batch: forward, backward and, where one is due, the update. The loop's wall time
    (`fit/wall_time`) also holds waiting for data, logging and the callbacks. Several processes keep
    step with one another: times are those of the first, samples and tokens those of all.

    Args:
        device: The device that trains.
        warmup_steps: How many first steps are dropped.
    """

    def __init__(self, device: Device, warmup_steps: int) -> None:
        super().__init__()
        self._device = device
        self._warmup_steps = warmup_steps
        self._starts: list[Mark] = []
        self._ends: list[Mark] = []
        self._samples: list[int] = []
        self._tokens: list[tuple[torch.Tensor, int]] = []
        self._others: list[tuple[int, int, int]] = []
        self._resumed_at = 0

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note where a run goes on; a test goes on from nothing."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._resumed_at = checkpoint["global_step"]

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Mark the start of a step."""
        with self.counted():
            self._starts.append(self._device.mark())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Mark the end of a step and count what was in it."""
        with self.counted():
            self._ends.append(self._device.mark())
            self._samples.append(len(batch["row_id"]))
            if "attention_mask" in batch:
                mask: torch.Tensor = batch["attention_mask"]
                # Counted after the run: reading a number off the device would make it wait.
                self._tokens.append((mask.sum(), mask.numel()))

    @property
    def began(self) -> bool:
        """Whether a step was begun."""
        return bool(self._starts)

    def share(self) -> tuple[int, int, int]:
        """Return the rows, tokens and slots for tokens of the steps after the warm-up."""
        n = len(self._step_times())
        tokens = self._tokens[len(self._tokens) - n :]
        real, slots = (sum(int(step[i]) for step in tokens) for i in (0, 1))
        return sum(self._samples[len(self._samples) - n :]), real, slots

    def join(self, others: Sequence[tuple[int, int, int]]) -> None:
        """Add the rows, tokens and slots of the other processes."""
        self._others = list(others)

    def readings(self) -> Mapping[str, Reading]:
        """Return step time and throughput."""
        times = self._step_times()
        if not times:
            return {}
        dropped = f"first {self._warmup_steps} of {len(self._starts)} steps dropped"
        clock = self._device.clock.how.and_(f" around each step, {dropped}")
        n, steps = len(times), torch.tensor(times, dtype=torch.double)
        busy = float(steps.sum())
        found = {
            "fit/steps": Reading(len(self._starts), "1", counted("batches, warm-up included")),
            "fit/step_time": Reading(busy / n, "s", clock.and_("; mean"), n=n, measure=COST),
            "fit/step_time/p50": Reading(float(steps.quantile(0.5)), "s", clock, n=n, measure=COST),
            "fit/step_time/p95": Reading(
                float(steps.quantile(0.95)), "s", clock, n=n, measure=COST
            ),
        }
        if self._others:
            clock = clock.and_(f"; samples of all {1 + len(self._others)} processes")
        samples, real, slots = (sum(part) for part in zip(self.share(), *self._others, strict=True))
        found["fit/sample_time"] = Reading(
            busy / samples, "s", clock.and_("; per sample"), n=samples, measure=COST
        )
        found["fit/samples_per_second"] = Reading(samples / busy, "1/s", clock, n=samples)
        if self._tokens:
            found["fit/tokens_per_second"] = Reading(
                real / busy, "1/s", clock.and_("; padding excluded")
            )
            found["fit/token_slots_per_second"] = Reading(
                slots / busy, "1/s", clock.and_("; padding included")
            )
            found["fit/padding_share"] = Reading(1 - real / slots, "1", counted("attention masks"))
        return found

    def absent(self) -> Mapping[str, str]:
        """Say why there are no step times where no step was left."""
        if self._step_times():
            return {}
        why = "nothing was trained" if not self._starts else "every step was a warm-up step"
        if self._resumed_at and not self._starts:
            why += f" since the run was resumed at step {self._resumed_at}"
        return {"fit/step_time": why, "fit/samples_per_second": why}

    def details(self) -> Mapping[str, Any]:
        """Return every step time, warm-up included."""
        return {"step_times": [round(t, 7) for t in self._all_times()]}

    def _step_times(self) -> list[float]:
        return self._all_times()[self._warmup_steps :]

    def _all_times(self) -> list[float]:
        # A step that an exception cut short has a start and no end.
        return [self._device.elapsed(s, e) for s, e in zip(self._starts, self._ends, strict=False)]
