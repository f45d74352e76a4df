"""The CPU: always there, as a device of its own and as the host of the others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch

from hwlit.devices.base import Device
from hwlit.devices.clock import HostClock
from hwlit.devices.cpu_model import read_cpu_model
from hwlit.devices.cpu_time import open_estimate
from hwlit.devices.energy import EnergyCounter, EnergySources
from hwlit.devices.host_memory import PROC, HostMemory
from hwlit.devices.rapl import POWERCAP, open_rapl
from hwlit.records import Reading


class Cpu(Device):
    """Measures the process tree on the CPU; peak memory is the resident set.

    Args:
        powercap: Where the RAPL zones lie.
        proc: Where procfs is mounted.
    """

    kind = "cpu"
    main_memory = "resident"

    def __init__(self, powercap: Path = POWERCAP, proc: Path = PROC) -> None:
        self.clock = HostClock()
        self._powercap = powercap
        self._model = read_cpu_model(proc / "cpuinfo")
        self._memory = HostMemory(proc)

    def describe(self) -> dict[str, Any]:
        """Return the model, cores, threads and total memory in bytes."""
        cores = {"cores": psutil.cpu_count(logical=False)}
        return {
            "kind": self.kind,
            "name": self._model.name,
            "count": self._model.sockets,
            **{key: value for key, value in cores.items() if value is not None},
            "threads": psutil.cpu_count() or 1,
            "torch_threads": torch.get_num_threads(),
            "virtual": self._model.virtual,
            "memory": psutil.virtual_memory().total,
        }

    def synchronize(self) -> None:
        """Return at once: work on the CPU is finished when its call returns."""

    def reset_peak_memory(self) -> None:
        """Start a new window for the resident peak."""
        self._memory.reset()

    def peak_memory(self) -> dict[str, Reading]:
        """Return the peak of the resident set."""
        return {"resident": self._memory.peak()}

    def current_memory(self) -> dict[str, Reading]:
        """Return the resident set now."""
        return {"resident": self._memory.current()}

    def absent(self) -> dict[str, str]:
        """Return what of CPU and DRAM energy cannot be counted, and why."""
        return self.energy.reasons()

    def energy_counters(self) -> tuple[EnergyCounter, ...]:
        """Return RAPL's counters, else the estimate, else nothing."""
        return self.energy.counters

    @cached_property
    def energy(self) -> EnergySources:
        """The counters of CPU and DRAM, opened once, with the reasons for what is missing."""
        measured = open_rapl(self._powercap)
        if "energy/cpu" not in measured.absent:
            return measured
        absent = dict(measured.absent)
        refused = absent.pop("energy/cpu")
        estimate = open_estimate(self._model)
        if not estimate.counters:
            # Whatever DRAM counter there is, it alone would pass for the energy of the run.
            reason = f"{refused}; {estimate.absent['energy/cpu']}"
            return EnergySources(absent={**absent, "energy/cpu": reason})
        absent["energy/cpu_measured"] = refused
        return estimate.joined(EnergySources(measured.counters, absent))
