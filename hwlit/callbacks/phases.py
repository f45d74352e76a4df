"""The phase ledger: every second, byte and joule of a run belongs to exactly one phase.

At any moment one phase is open: entering one closes the window of the one around it, leaving
reopens that. So the phases add up to the run by construction, and what nothing claims is shown
as `other`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
from lightning.pytorch import LightningModule, Trainer

from hwlit.callbacks.monitor import Monitor
from hwlit.devices.base import Device
from hwlit.devices.energy import idle_power
from hwlit.errors import ResourceError
from hwlit.records import Reading

OTHER = "other"
IDLE_SECONDS = 1.0  # NVML's counter moves every 0.1 s, RAPL's every millisecond


@dataclass
class Phase:
    """What one phase has taken so far."""

    wall_time: float = 0.0
    peak_memory: dict[str, Reading] = field(default_factory=dict)
    energy: dict[str, float] = field(default_factory=dict)


class Phases(Monitor):
    """Splits a run's wall time, peak memory and energy by phase.

    Args:
        device: The device that trains.
        warmup_steps: How many first steps form the phase `warmup` and are left out of step times.
    """

    def __init__(self, device: Device, warmup_steps: int) -> None:
        super().__init__()
        self._device = device
        self._warmup_steps = warmup_steps
        self._counters = device.energy_counters()
        self._lost: dict[str, str] = {}
        self._steps = 0  # of this process: a resumed run warms up again
        self._ledger: dict[str, Phase] = {}
        self._stack: list[str] = [OTHER]
        self._finished: float | None = None
        # The run began when the process did: interpreter, imports and config are its first phase.
        self._started = psutil.Process().create_time()
        startup = self._open("startup")
        startup.wall_time = max(0.0, time.time() - self._started)
        startup.peak_memory = dict(device.peak_memory())
        self._baseline = dict(device.current_memory())
        self._last_time = time.perf_counter()
        self._last_energy = self._read_energy()
        device.reset_peak_memory()
        self._idle: dict[str, Reading] = {}
        if any(counter.measured for counter in self._counters):
            with self.phase("idle"):
                self._idle = idle_power(self._counters, IDLE_SECONDS)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Attribute the block to a phase."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave(name)

    def enter(self, name: str) -> None:
        """Begin a phase inside the current one."""
        self._close_window()
        self._stack.append(name)
        self._open(name)

    def leave(self, name: str) -> None:
        """End a phase, and any left open inside it; nothing happens where it is not open."""
        if name not in self._stack[1:]:
            return
        self._close_window()
        while self._stack.pop() != name:
            pass

    def finish(self) -> None:
        """Close every phase; the total is taken here."""
        self._close_window()
        self._stack = [OTHER]
        self._finished = time.time()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the train loop, its first steps as warm-up."""
        self.enter("train")
        if self._warmup_steps:
            self.enter("warmup")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the warm-up after its last step."""
        with self.counted():
            self._steps += 1
            if self._steps == self._warmup_steps:
                self._device.synchronize()
                self.leave("warmup")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the train loop."""
        self._device.synchronize()
        self.leave("train")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep evaluation out of the train loop."""
        self._device.synchronize()
        self.enter("evaluate")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go back to the train loop."""
        self.leave("evaluate")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the test."""
        self.enter("test")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the test."""
        self._device.synchronize()
        self.leave("test")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close what is open; `teardown` is not called on an exception."""
        if len(self._stack) > 1:
            self.leave(self._stack[1])

    def readings(self) -> Mapping[str, Reading]:
        """Return wall time, peak memory and energy of each phase; the train loop's as `fit/...`."""
        found: dict[str, Reading] = {}
        clock = "measured: perf_counter, other phases excluded"
        for name, phase in self._ledger.items():
            if name in ("train", "warmup"):
                continue
            found[f"{name}/wall_time"] = Reading(phase.wall_time, "s", clock)
            found |= self._memory(name, phase)
            found |= {n: r for n, r in self._energy(name, phase).items() if r is not None}
        if "train" in self._ledger:
            fit = self._fit()
            found["fit/wall_time"] = Reading(
                fit.wall_time,
                "s",
                "measured: perf_counter, train loop with its warm-up steps, "
                "evaluation and saving excluded",
            )
            found |= self._memory("fit", fit)
            found |= {n: r for n, r in self._energy("fit", fit).items() if r is not None}
        found |= {f"baseline/memory/{kind}": r for kind, r in self._baseline.items()}
        found |= {f"idle/power/{component}": r for component, r in self._idle.items()}
        found["run/wall_time"] = Reading(
            self._total(), "s", "measured: wall clock from the start of the process to the record"
        )
        return found

    def absent(self) -> Mapping[str, str]:
        """Return what the device cannot give, and energies whose window was too short to read."""
        reasons = {f"fit/{name}": reason for name, reason in self._device.absent().items()}
        reasons |= {f"run/energy/{component}": why for component, why in self._lost.items()}
        for name, phase in [("fit", self._fit()), *self._ledger.items()]:
            for quantity, reading in self._energy(name, phase).items():
                if reading is None and name not in ("train", "warmup"):
                    reasons[quantity] = "the counter did not move in so short a phase"
        if self._counters:
            reasons["startup/energy"] = "the counters are opened after the imports"
        return reasons

    def details(self) -> Mapping[str, Any]:
        """Return the ledger: one row per phase in the order in which they first began."""
        total = self._total()
        rows = [
            {
                "name": name,
                "wall_time": phase.wall_time,
                "share": phase.wall_time / total,
                "peak_memory": {kind: r.value for kind, r in phase.peak_memory.items()},
                "energy": phase.energy,
            }
            for name, phase in self._ledger.items()
        ]
        return {"phases": rows}

    def _fit(self) -> Phase:
        """Return train loop and warm-up steps together."""
        parts = [self._ledger.get(name, Phase()) for name in ("train", "warmup")]
        fit = Phase(wall_time=sum(part.wall_time for part in parts))
        for part in parts:
            _raise_peaks(fit.peak_memory, part.peak_memory)
            for component, joules in part.energy.items():
                fit.energy[component] = fit.energy.get(component, 0.0) + joules
        return fit

    def _energy(self, name: str, phase: Phase) -> dict[str, Reading | None]:
        """Return the energy per component and their sum; None where the window was too short."""
        found: dict[str, Reading | None] = {}
        for counter in self._counters:
            if counter.component not in phase.energy or counter.component in self._lost:
                continue
            joules = phase.energy[counter.component]
            # A counter that stood still was not read often enough: that is no energy of 0.
            unread = joules == 0 and (counter.measured or phase.wall_time < counter.update_period)
            found[f"{name}/energy/{counter.component}"] = (
                None if unread else Reading(joules, "J", counter.method)
            )
        parts = [reading for reading in found.values() if reading is not None]
        if parts and len(parts) == len(found):
            methods = "; ".join(dict.fromkeys(reading.method for reading in parts))
            found[f"{name}/energy"] = Reading(sum(r.value for r in parts), "J", methods)
        return found

    def _open(self, name: str) -> Phase:
        return self._ledger.setdefault(name, Phase())

    def _memory(self, name: str, phase: Phase) -> dict[str, Reading]:
        """Return the phase's peaks; the device's main kind gets the short name as well."""
        found = {f"{name}/peak_memory/{kind}": r for kind, r in phase.peak_memory.items()}
        if (main := phase.peak_memory.get(self._device.main_memory)) is not None:
            found[f"{name}/peak_memory"] = main
        return found

    def _read_energy(self) -> dict[str, float]:
        joules = {}
        for counter in self._counters:
            try:
                joules[counter.component] = counter.read()
            except ResourceError as error:  # an observer must not end the run that it observes
                self._lost[counter.component] = str(error)
        return joules

    def _close_window(self) -> None:
        """Book time, peak and energy since the last switch on the phase that is open."""
        now, energy = time.perf_counter(), self._read_energy()
        phase = self._open(self._stack[-1])
        phase.wall_time += now - self._last_time
        for component, joules in energy.items():
            if component not in self._lost:
                spent = joules - self._last_energy[component]
                phase.energy[component] = phase.energy.get(component, 0.0) + spent
        _raise_peaks(phase.peak_memory, self._device.peak_memory())
        self._device.reset_peak_memory()
        self._last_time, self._last_energy = now, energy

    def _total(self) -> float:
        return (self._finished or time.time()) - self._started


def _raise_peaks(peaks: dict[str, Reading], new: Mapping[str, Reading]) -> None:
    for kind, reading in new.items():
        if kind not in peaks or reading.value > peaks[kind].value:
            peaks[kind] = reading
