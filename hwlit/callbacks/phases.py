"""The phase ledger: every second, byte and joule of a run belongs to exactly one phase.

At any moment one phase is open: entering one closes the window of the one around it, leaving
reopens that. So the phases add up to the run by construction, and what nothing claims is shown
as `other`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psutil
from lightning.pytorch import LightningModule, Trainer

from hwlit.callbacks.ledger import (
    Phase,
    Share,
    codecarbon_of,
    energy_of_all,
    memory_of_all,
    metered,
    peak_readings,
    power_of_all,
    rank_rows,
    uncounted,
    values,
)
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.ranks import Place
from hwlit.devices.base import Device
from hwlit.devices.energy import idle_power
from hwlit.errors import ResourceError
from hwlit.records import COST, FACT, Reading, measured
from hwlit.records import Phase as PhaseRow

OTHER = "other"
IDLE_SECONDS = 1.0  # NVML's counter moves every 0.1 s, RAPL's every millisecond


class Phases(Monitor):
    """Splits a run's wall time, peak memory and energy by phase.

    Of several processes each has a ledger of its own; joined, memory and energy are those of all,
    times those of the first.

    Args:
        device: The device that trains.
        warmup_steps: How many first steps form the phase `warmup` and are left out of step times.
        place: Which of the job's processes this is.
    """

    def __init__(self, device: Device, warmup_steps: int, place: Place | None = None) -> None:
        super().__init__()
        self.place = place or Place()
        self._others: list[Share] = []
        self.watchers: list[Callable[[str], None]] = []  # called with the phase that is closed
        self._device_name = str(device.describe()["name"])
        self._device = device
        self._warmup_steps = warmup_steps
        first = self.place.local_rank == 0
        self._counters = tuple(
            counter
            for counter in device.energy_counters()
            if first or (self.place.siblings and not counter.whole_node)
        )
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

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close what `launch` opened: all processes are there."""
        self.leave("launch")

    def launch(self) -> None:
        """Open the wait for the job's other processes, where there are any."""
        if self.place.world_size > 1:
            self.enter("launch")

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

    def share(self) -> Share:
        """Return the ledger up to now."""
        self._close_window()
        return self._share()

    def join(self, others: Sequence[Share]) -> None:
        """Add the ledgers of the other processes."""
        self._others = list(others)

    def readings(self) -> Mapping[str, Reading]:
        """Return wall time, peak memory and energy of each phase; the train loop's as `fit/...`."""
        found: dict[str, Reading] = {}
        clock = "perf_counter, other phases excluded"
        train = "perf_counter, train loop with its warm-up steps, evaluation and saving excluded"
        shares = self._shares()
        for name, phase in self._named().items():
            if name in ("train", "warmup"):
                continue
            source = train if name == "fit" else clock
            how = measured(source)
            found[f"{name}/wall_time"] = Reading(phase.wall_time, "s", how, measure=COST)
            found |= peak_readings(name, shares, self._device.main_memory)
            for quantity, reading in energy_of_all(name, shares).items():
                if isinstance(reading, Reading):
                    found[f"{name}/energy/{quantity}".removesuffix("/")] = reading
        if isinstance(other := self._codecarbon(), Reading):
            found["fit/energy_codecarbon"] = other
        baseline = memory_of_all(share.baseline for share in shares)
        found |= {f"baseline/memory/{k}": replace(r, measure=FACT) for k, r in baseline.items()}
        found |= {f"idle/power/{part}": watts for part, watts in power_of_all(shares).items()}
        how = measured("wall clock from the start of the process to the record")
        found["run/wall_time"] = Reading(self._total(), "s", how, measure=COST)
        return found

    def absent(self) -> Mapping[str, str]:
        """Return what the device cannot give, and energies whose window was too short to read."""
        reasons = {f"fit/{name}": reason for name, reason in self._device.absent().items()}
        shares = self._shares()
        reasons |= {f"run/energy/{part}": reason for part, reason in uncounted(shares).items()}
        for name in self._named().keys() - {"train", "warmup"}:
            for component, reason in energy_of_all(name, shares).items():
                if isinstance(reason, str):
                    reasons[f"{name}/energy/{component}"] = reason
        if isinstance(other := self._codecarbon(), str):
            reasons["fit/energy_codecarbon"] = other
        if self._counters:
            reasons["startup/energy"] = "the counters are opened after the imports"
        if len(shares) < self.place.world_size:
            reasons["ranks"] = (
                "the run ended too early to join its processes: figures are the first's"
            )
        return reasons

    def details(self) -> Mapping[str, Any]:
        """Return the ledger, one row per phase in the order in which they first began.

        Several processes have a row each as well, for the train loop.
        """
        total, shares = self._total(), self._shares()
        rows = [
            PhaseRow(
                name,
                phase.wall_time,
                phase.wall_time / total,
                values(memory_of_all(s.memory.get(name, {}) for s in shares)),
                values({k: r for k, r in energy_of_all(name, shares).items() if k}),
            )
            for name, phase in self._ledger.items()
        ]
        return {"phases": rows} | ({"ranks": rank_rows(shares)} if self._others else {})

    def _named(self) -> dict[str, Phase]:
        """Return the phases of this process by name; `fit` is train loop and warm-up together."""
        if "train" not in self._ledger:
            return dict(self._ledger)
        fit = self._ledger["train"].joined(self._ledger.get("warmup", Phase()))
        return {**self._ledger, "fit": fit}

    def _share(self) -> Share:
        phases = self._named()
        return Share(
            place=self.place,
            device=self._device_name,
            counters=tuple(counter.component for counter in self._counters),
            lost=self._lost,
            memory={name: phase.peak_memory for name, phase in phases.items()},
            energy={name: metered(self._counters, phase) for name, phase in phases.items()},
            baseline=self._baseline,
            idle=self._idle,
        )

    def _shares(self) -> list[Share]:
        return [self._share(), *self._others]

    def _codecarbon(self) -> Reading | str | None:
        return codecarbon_of(self._counters, self._named().get("fit"), self.place.world_size)

    def _open(self, name: str) -> Phase:
        return self._ledger.setdefault(name, Phase())

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
        phase.raise_peaks(self._device.peak_memory())
        self._device.reset_peak_memory()
        self._last_time, self._last_energy = now, energy
        for watch in self.watchers:
            watch(self._stack[-1])

    def _total(self) -> float:
        return (self._finished or time.time()) - self._started
