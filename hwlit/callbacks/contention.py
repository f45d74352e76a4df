"""How much of the machine each phase of a run had: waiting, processor time, use, disturbances."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.phases import OTHER, Phases
from hwlit.devices.base import Device
from hwlit.devices.contention import HostCounters, JobProcesses
from hwlit.devices.gpu_load import GpuWatch, mean
from hwlit.devices.load import Load, disturbances, remark
from hwlit.records import COST, Disturbance, Reading, measured, sampled

FIT = ("train", "warmup")
PROCESSOR_TIME = (
    "user and system time of the process tree; not immune to other processes, beside which the "
    "same work has taken 19 % more"
)
WAITED = "schedstat of the threads of the process tree, waited for a processor / (waited + ran)"
WAITED_FOR_OTHERS = "schedstat and /proc/stat, the part of that wait that other processes caused"
STOLEN = "/proc/stat, taken by the hypervisor / (taken + busy)"
QUOTA = "cpu.stat of the control groups, periods in which the quota stopped it / all periods"
HOT = "thermal_throttle, time for which the hottest processor was slowed down / wall time"
# Reading: the sums it is a mean of, and how they came about.
GPU = {
    "gpu_utilisation": ("gpu/utilisation", "NVML utilisation, share of time with work on the GPU"),
    "gpu_clock_share": ("gpu/clock", "NVML SM clock / its highest"),
    "gpu_slowed": ("gpu/slowed", "NVML, samples with a slowdown for heat or by the hardware"),
    "gpu_others": ("gpu/others", "NVML, share of time with work of other processes on the GPU"),
}
Counts = dict[str, float]


class Contention(Monitor):
    """Reads the kernel's counters, and samples a GPU, at every change of phase.

    Of several processes of a job the first of each node reads its processors, and each its GPU. A
    disturbance of any counts: all keep step with the slowest.

    Args:
        device: The device that trains.
        phases: The ledger, whose phases these are.
        counters: What to read of the host; none stands for those of this job.
    """

    def __init__(
        self, device: Device, phases: Phases, counters: HostCounters | None = None
    ) -> None:
        super().__init__()
        place = phases.place
        own = JobProcesses(place.siblings and place.world_size > 1)
        self._reads_host = place.local_rank == 0
        self._on_cpu = device.kind == "cpu"
        self._host = counters or HostCounters(own)
        gpu = device.sampled()
        self._gpu = None if gpu is None else GpuWatch(gpu, own)
        self._counts: dict[str, Counts] = {}
        self._others: list[dict[str, Any]] = []
        self._steps = self._samples = 0
        self._last = self._read()
        phases.watchers.append(self.book)

    def book(self, phase: str) -> None:
        """Book what happened since the last change of phase.

        Args:
            phase: The phase that was open.
        """
        start = time.perf_counter()
        now, counts = self._read(), self._counts.setdefault(phase, {})
        for name, value in now.items():
            # What is first met now was not counted before: a quota, a sample.
            grown = value - self._last.get(name, 0.0 if name.startswith("gpu/") else value)
            counts[name] = counts.get(name, 0.0) + max(0.0, grown)
        self._last = now
        if phase in FIT:
            self.own_time += time.perf_counter() - start

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step and its samples."""
        with self.counted():
            self._steps += 1
            self._samples += len(batch["row_id"])

    def share(self) -> dict[str, Any]:
        """Return what went on here, by phase, and the disturbances."""
        return {
            "counts": self._named(),
            "disturbed": self._own_disturbances(),
            "samples": self._samples,
            "host": self._reads_host,
        }

    def join(self, others: Sequence[dict[str, Any]]) -> None:
        """Take in what went on in the other processes."""
        self._others = list(others)

    def readings(self) -> Mapping[str, Reading]:
        """Return processor time, waiting, steal and throttling of each phase; the use while fit."""
        found: dict[str, Reading] = {}
        for name in self._named():
            if name not in FIT and (load := self._load(name)).wall:
                found |= self._of_phase(name, load)
        if (fit := self._load("fit")).wall:
            found |= self._of_training(fit) | self._of_gpus()
        return found

    def absent(self) -> Mapping[str, str]:
        """Return what this system does not tell, for the train loop."""
        if not self._counts.keys() & set(FIT):
            return {}
        names = [name for name in self._host.absent if name != "quota_throttled"]
        reasons = {f"fit/{name}": self._host.absent[name] for name in names}
        if self._gpu is None:
            why = "the run computed on the processor" if self._on_cpu else "only NVML tells it"
            return reasons | {"fit/gpu_utilisation": why}
        if mean(self._named()["fit"], "gpu/utilisation") is None:
            reasons["fit/gpu_utilisation"] = self._gpu.lost or "no sample fell into the train loop"
        elif mean(self._named()["fit"], "gpu/others") is None:
            reasons["fit/gpu_others"] = "NVML does not tell here how much each process runs"
        return reasons

    def details(self) -> Mapping[str, Any]:
        """Return which phases' times are disturbed, and one remark that says so."""
        found = self._disturbances()
        if not found:
            return {"disturbed": []}
        named = self._named().get("fit", {})
        why = [name.removeprefix("gpu/why/") for name in named if name.startswith("gpu/why/")]
        return {"disturbed": found, "remarks": [remark(found, why)]}

    def _read(self) -> Counts:
        found = self._host.read() if self._reads_host else {"wall": time.perf_counter()}
        return found | (self._gpu.read() if self._gpu else {})

    def _named(self) -> dict[str, Counts]:
        """Return the counts by phase; `fit` is train loop and warm-up together."""
        parts = [self._counts[name] for name in FIT if name in self._counts]
        names = dict.fromkeys(name for part in parts for name in part)
        fit = {name: sum(part.get(name, 0.0) for part in parts) for name in names}
        return {**self._counts, **({"fit": fit} if parts else {})}

    def _load(self, name: str) -> Load:
        return Load(self._named().get(name, {}), self._host.processors.count)

    def _own_disturbances(self) -> list[Disturbance]:
        threads = torch.get_num_threads() if self._on_cpu else 1
        return [
            one
            for name in self._named()
            if name not in (*FIT, OTHER)
            for one in disturbances(name, self._load(name), threads)
        ]

    def _disturbances(self) -> list[Disturbance]:
        """Return the disturbances of all processes, the worst of each kind."""
        worst: dict[tuple[str, str], Disturbance] = {}
        shared = [one for other in self._others for one in other["disturbed"]]
        for one in [*self._own_disturbances(), *shared]:
            known = worst.setdefault((one.phase, one.cause), one)
            if one.value > known.value:
                worst[one.phase, one.cause] = one
        return list(worst.values())

    def _of_phase(self, name: str, load: Load) -> dict[str, Reading]:
        used = sum(counts.get("own", 0.0) for counts in self._by_node(name))
        shares = {
            "run_queue_wait": (load.waiting, WAITED),
            "run_queue_wait/for_others": (load.waited_for_others, WAITED_FOR_OTHERS),
            "steal": (load.steal, STOLEN),
            "quota_throttled": (load.quota_throttled, QUOTA),
            "thermally_throttled": (load.thermally_throttled, HOT),
        }
        time_used = Reading(used, "s", measured(PROCESSOR_TIME), measure=COST)
        return {f"{name}/processor_time": time_used} | {
            f"{name}/{key}": Reading(value, "1", measured(text))
            for key, (value, text) in shares.items()
            if value is not None
        }

    def _of_training(self, load: Load) -> dict[str, Reading]:
        """Return processor time by step and sample, and the share of processors that was used."""
        used = sum(counts.get("own", 0.0) for counts in self._by_node("fit"))
        samples = self._samples + sum(other["samples"] for other in self._others)
        found = {}
        loop = f"{PROCESSOR_TIME}; of the train loop, warm-up included"
        for per, n in (("step", self._steps), ("sample", samples)):
            if n:
                found[f"fit/processor_time/{per}"] = Reading(
                    used / n, "s", measured(f"{loop}, per {per}"), n=n, measure=COST
                )
        had = load.processors * load.wall
        of = f"/ (wall time x {load.processors:g} processors that it may run on)"
        found["fit/processor_utilisation"] = Reading(
            load.own / had, "1", measured(f"processor time of the process tree {of}")
        )
        if load.others is not None:
            how = measured(f"processor time of all other processes {of}")
            found["fit/other_processes"] = Reading(load.others / had, "1", how)
        return found

    def _of_gpus(self) -> dict[str, Reading]:
        counts = [self._named().get("fit", {}), *(o["counts"].get("fit", {}) for o in self._others)]
        found = {}
        for key, (name, text) in GPU.items():
            means = [value for value in (mean(c, name) for c in counts) if value is not None]
            if means:
                n = round(sum(c.get(f"{name}/samples", 0.0) for c in counts))
                of = f"; mean of {len(means)} GPUs" if len(means) > 1 else ""
                value = sum(means) / len(means)
                found[f"fit/{key}"] = Reading(value, "1", sampled(f"{text}{of}"), n=n)
        return found

    def _by_node(self, name: str) -> list[Counts]:
        shared = [other["counts"].get(name, {}) for other in self._others if other["host"]]
        return [self._named().get(name, {}), *shared]
