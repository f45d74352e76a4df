"""Any other accelerator that torch knows (Apple MPS, Intel XPU), by its device-neutral calls."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from hwlit.devices.base import Device
from hwlit.devices.clock import Clock, EventClock, HostClock, TimedEvent
from hwlit.devices.cpu import Cpu
from hwlit.devices.energy import EnergyCounter
from hwlit.records import COST, FACT, Measure, Reading, measured


class Generic(Device):
    """Measures what `torch.accelerator` offers for this device, and the host process beside it.

    Args:
        torch_device: The device.
        host: The CPU that drives it.

    Source: https://docs.pytorch.org/docs/stable/accelerator.html.
    """

    main_memory = "allocated"

    def __init__(self, torch_device: torch.device, host: Cpu) -> None:
        self.kind = torch_device.type
        self._device = torch_device
        self._host = host
        self._since = "since process start"
        self.clock = _best_clock(torch_device)

    def describe(self) -> dict[str, Any]:
        """Return kind, name, the number of such devices and the host."""
        host = self._host.describe()
        return {
            "kind": self.kind,
            "name": self._name() or f"{self.kind} of {host['name']}",
            "count": torch.accelerator.device_count(),
            "host": host,
        }

    def synchronize(self) -> None:
        """Wait for all streams of the device."""
        torch.accelerator.synchronize(self._device)

    def reset_peak_memory(self) -> None:
        """Start a new window for the allocator's peaks, where it has any, and the resident one."""
        self._since = "since process start"
        with contextlib.suppress(RuntimeError, ValueError):  # then the method says "process start"
            torch.accelerator.reset_peak_memory_stats(self._device)
            self._since = "since the last reset"
        self._host.reset_peak_memory()

    def peak_memory(self) -> dict[str, Reading]:
        """Return the allocator's peaks, where it has them, and the resident peak, in bytes."""
        try:
            allocated, reserved = self._statistics("peak")
        except (RuntimeError, ValueError, KeyError):
            return self._host.peak_memory()
        source = f"torch.accelerator memory statistics, peak {self._since}"
        return {**_readings(allocated, reserved, source, COST), **self._host.peak_memory()}

    def current_memory(self) -> dict[str, Reading]:
        """Return what is in use now, in bytes, from the first source that answers."""
        host = self._host.current_memory()
        with contextlib.suppress(RuntimeError, ValueError, KeyError):
            allocated, reserved = self._statistics("current")
            source = "torch.accelerator memory statistics"
            return {**_readings(allocated, reserved, source, FACT), **host}
        with contextlib.suppress(RuntimeError):
            allocated = torch.mps.current_allocated_memory()
            reserved = torch.mps.driver_allocated_memory()
            source = "torch.mps memory of tensors (allocated) and driver (reserved)"
            return {**_readings(allocated, reserved, source, FACT), **host}
        return host

    def absent(self) -> dict[str, str]:
        """Return why there is no energy, and why no peak where torch keeps none."""
        energy = f"hwlit knows no energy counter of {self.kind} devices"
        absent = {"energy": energy, f"energy/{self.kind}": energy}
        try:
            self._statistics("peak")
        except (RuntimeError, ValueError, KeyError) as error:
            reason = f"torch keeps no peak of {self.kind} memory ({type(error).__name__}: {error})"
            names = ("peak_memory", "peak_memory/allocated", "peak_memory/reserved")
            absent |= dict.fromkeys(names, reason)
        return absent

    def energy_counters(self) -> tuple[EnergyCounter, ...]:
        """Return none: the host's alone would pass for the energy of the run."""
        return ()

    def _statistics(self, which: str) -> tuple[int, int]:
        # Not max_memory_allocated: that answers 0 where the allocator keeps no statistics.
        statistics = torch.accelerator.memory_stats(self._device)
        return (
            int(statistics[f"allocated_bytes.all.{which}"]),
            int(statistics[f"reserved_bytes.all.{which}"]),
        )

    def _name(self) -> str:
        try:
            module = torch.get_device_module(self._device)
            return str(module.get_device_properties(self._device).name)
        except (AttributeError, RuntimeError, AssertionError):  # torch.mps has no properties
            return ""


def _readings(allocated: int, reserved: int, source: str, measure: Measure) -> dict[str, Reading]:
    how = measured(source)
    return {
        "allocated": Reading(allocated, "B", how, measure=measure),
        "reserved": Reading(reserved, "B", how, measure=measure),
    }


def _best_clock(torch_device: torch.device) -> Clock:
    """Return events where two of them can be timed on this device, else the host's clock."""

    def record() -> TimedEvent:
        event = torch.Event(device=torch_device, enable_timing=True)
        event.record()
        return event

    clock = EventClock(record, f"torch.Event on {torch_device.type}")
    try:
        clock.elapsed(clock.mark(), clock.mark())
    except RuntimeError:
        return HostClock(
            "time.perf_counter when work was queued, exact between two synchronisations"
        )
    return clock
