"""Model FLOPs of a training step, FLOP/s of the train loop, and their share of a peak."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from hwlit.callbacks.flop_counter import FlopCounter
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.steps import Steps
from hwlit.devices.base import Device
from hwlit.devices.peaks import TERA, peaks_of
from hwlit.records import Reading, counted, measured

COUNTED = 2  # the second step: it is one of the warm-up, and nothing is new in it
NAMES = ("fit/model_flops", "fit/flops_per_second", "fit/share_of_peak")


class Flops(Monitor):
    """Counts the second step of training while it runs; the step is a warm-up step, not timed.

    Args:
        device: The device that trains.
        steps: What times the steps.
    """

    def __init__(self, device: Device, steps: Steps) -> None:
        super().__init__()
        self._device, self._steps = device, steps
        self._counter: FlopCounter | None = None
        self._counting = False
        self._why = ""
        self._begun = 0
        self._started = 0.0
        self._times: list[float] = []
        self._per_update = 1
        self._world_size = 1
        self._samples = self._slots = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what a step is here, and whether it can be counted."""
        self._per_update, self._world_size = trainer.accumulate_grad_batches, trainer.world_size
        if self._device.kind == "tpu":
            self._why = "operators are recorded and compiled on a TPU, not run one by one"
        elif pl_module.hparams.get("compile"):
            self._why = "the step is compiled, and to count it would have it run in another way"

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin to count where the step is the one."""
        self._started = time.perf_counter()
        self._begun += 1
        if self._begun == COUNTED and not self._why:
            self._counter, self._counting = FlopCounter(), True
            self._counter.__enter__()  # type: ignore[no-untyped-call]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop counting, and note what the step held."""
        if self._counting:
            self._stop()
            self._samples = len(batch["row_id"])
            mask = batch.get("attention_mask")
            self._slots = 0 if mask is None else mask.numel()
        self._times.append(time.perf_counter() - self._started)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take as the cost of counting what the counted step took beyond the median of the rest."""
        if self._samples and len(self._times) > COUNTED:
            rest = statistics.median(self._times[COUNTED:])
            self.own_time = max(0.0, self._times[COUNTED - 1] - rest)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop counting; a step that was cut short is none."""
        if self._counting:
            self._stop()

    def readings(self) -> Mapping[str, Reading]:
        """Return the FLOPs of an optimizer step, a sample and a token, FLOP/s and their share."""
        if self._reason():
            return {}
        flops, slots, samples = sum(self._flops.values()), self._slots, self._samples
        tokens = f" of {slots // samples} tokens, padding included" if slots else ""
        how = counted(
            f"torch's formulas over the operators of step {COUNTED}, {samples} "
            f"samples{tokens}; matrix products, convolutions and attention, forward and "
            "backward, multiply-add as 2"
        )
        per_update = f"; x {self._per_update * self._world_size} such batches in an optimizer step"
        found = {
            "fit/model_flops": Reading(
                flops * self._per_update * self._world_size, "FLOP", how.and_(per_update)
            ),
            "fit/model_flops/sample": Reading(flops / samples, "FLOP", how.and_("; per sample")),
        }
        if slots:
            found["fit/model_flops/token"] = Reading(flops / slots, "FLOP", how.and_("; per token"))
        return found | self._rates(flops)

    def absent(self) -> Mapping[str, str]:
        """Say why there are no FLOPs, no FLOP/s or no share of the peak."""
        if not self._begun:
            return {}
        if reason := self._reason():
            return dict.fromkeys(NAMES, reason)
        found = self.readings()
        if "fit/flops_per_second" not in found:
            return dict.fromkeys(NAMES[1:], "no step was timed")
        return {} if "fit/share_of_peak" in found else {"fit/share_of_peak": self._no_share()}

    def _rates(self, flops: float) -> dict[str, Reading]:
        """Return FLOP/s over the timed steps, all processes together, and the share of the peak."""
        timed, per = self._steps.readings(), "sample"
        rate, units = timed.get("fit/samples_per_second"), self._samples
        if self._slots and "fit/token_slots_per_second" in timed:
            rate, units, per = timed["fit/token_slots_per_second"], self._slots, "token"
        if rate is None:
            return {}
        value = flops / units * rate.value
        how = measured(f"FLOPs per {per} of step {COUNTED} x {per}s per second, padding included")
        found = {"fit/flops_per_second": Reading(value, "FLOP/s", how)}
        name = str(self._device.describe()["name"])
        if (peaks := peaks_of(name)) and (least := peaks.seconds(self._flops)):
            kinds = ", ".join(f"{k} {peaks.by_kind[k] / TERA:g} TFLOP/s" for k in self._flops)
            found["fit/share_of_peak"] = Reading(
                value / self._world_size * least / flops,
                "1",
                measured(f"fit/flops_per_second / dense peak, {kinds} ({peaks.source})"),
            )
        return found

    @property
    def _flops(self) -> Mapping[str, float]:
        """FLOPs of the counted batch by kind of number."""
        return {} if self._counter is None else self._counter.flops

    def _no_share(self) -> str:
        name = str(self._device.describe()["name"])
        if peaks_of(name) is None:
            return f"no published peak is known of {name}"
        return f"no published peak of {name} is known for {', '.join(self._flops)}"

    def _reason(self) -> str:
        """Return why nothing was counted; "" where something was."""
        if self._why or self._counter is None or not self._samples:
            return self._why or f"step {COUNTED} is counted, and the run had no such whole step"
        if self._counter.unknown:
            names = ", ".join(sorted(self._counter.unknown))
            return f"the FLOPs of some operators are not known ({names}), and a part is no whole"
        return "" if self._flops else "no operator that multiplies was met"

    def _stop(self) -> None:
        assert self._counter is not None
        self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._counting = False
