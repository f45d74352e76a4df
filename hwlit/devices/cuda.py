"""One CUDA GPU: events, the caching allocator's statistics, and NVML for it and its node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from hwlit.devices.base import Device
from hwlit.devices.clock import EventClock, TimedEvent
from hwlit.devices.cpu import Cpu
from hwlit.devices.energy import EnergyCounter, EnergySources
from hwlit.devices.gpu_load import Sampled
from hwlit.devices.nvml import GpuManagement, open_nvml, sum_energy
from hwlit.errors import ResourceError
from hwlit.records import COST, Reading, measured


class Cuda(Device):
    """Measures one GPU, and the host process beside it.

    Allocated memory is what the tensors need, reserved memory what the run takes from others, and
    NVML's process memory adds the CUDA context and libraries.

    Args:
        torch_device: The GPU; without an index the current one.
        host: The CPU that drives it.
        node_devices: The GPUs of this node that the job uses, whose energy is counted together;
            none stands for this one alone.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management.
    """

    kind = "cuda"
    main_memory = "allocated"

    def __init__(
        self, torch_device: torch.device, host: Cpu, node_devices: Sequence[torch.device] = ()
    ) -> None:
        self._index = _index(torch_device)
        self._node_devices = tuple(node_devices) or (torch_device,)
        self._host = host
        self.clock = EventClock(self._record, "CUDA events")

    def describe(self) -> dict[str, Any]:
        """Return name, index, memory in bytes, compute capability, driver and host."""
        properties = torch.cuda.get_device_properties(self._index)
        return {
            "kind": self.kind,
            "name": properties.name,
            "index": self._index,
            "count": torch.cuda.device_count(),
            "uuid": str(properties.uuid),
            "memory": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "runtime": torch.version.cuda or "",
            **self._management.facts,
            "host": self._host.describe(),
        }

    def synchronize(self) -> None:
        """Wait for all streams of this GPU."""
        torch.cuda.synchronize(self._index)

    def reset_peak_memory(self) -> None:
        """Start a new window for the allocator's peaks and the resident peak."""
        torch.cuda.reset_peak_memory_stats(self._index)
        self._host.reset_peak_memory()

    def peak_memory(self) -> dict[str, Reading]:
        """Return allocated, reserved, process (NVML, sampled now) and resident peak, in bytes."""
        allocated = torch.cuda.max_memory_allocated(self._index)
        reserved = torch.cuda.max_memory_reserved(self._index)
        since = "peak since the last reset"
        tensors = measured(f"torch max_memory_allocated, {since}")
        taken = measured(f"torch max_memory_reserved, {since}")
        return {
            "allocated": Reading(allocated, "B", tensors, measure=COST),
            "reserved": Reading(reserved, "B", taken, measure=COST),
            **self._process_memory()[0],
            **self._host.peak_memory(),
        }

    def current_memory(self) -> dict[str, Reading]:
        """Return what is allocated, reserved, held by the process and resident now, in bytes."""
        allocated = torch.cuda.memory_allocated(self._index)
        reserved = torch.cuda.memory_reserved(self._index)
        return {
            "allocated": Reading(allocated, "B", measured("torch memory_allocated")),
            "reserved": Reading(reserved, "B", measured("torch memory_reserved")),
            **self._process_memory()[0],
            **self._host.current_memory(),
        }

    def absent(self) -> dict[str, str]:
        """Return what NVML or the host cannot give now, and why."""
        return {**self._process_memory()[1], **self._energy.reasons()}

    def energy_counters(self) -> tuple[EnergyCounter, ...]:
        """Return one counter of the GPUs and those of the host; none where a GPU has none."""
        return self._energy.counters

    def sampled(self) -> Sampled:
        """Return what NVML tells of this GPU."""
        return self._management

    @cached_property
    def _management(self) -> GpuManagement:
        return open_nvml(_uuid(self._index))

    @cached_property
    def _energy(self) -> EnergySources:
        uuids = dict.fromkeys(_uuid(_index(device)) for device in self._node_devices)
        gpus = sum_energy([open_nvml(uuid) for uuid in uuids])
        if not gpus.counters:  # the host's alone would pass for the energy of the run
            return gpus
        return gpus.joined(self._host.energy)

    def _process_memory(self) -> tuple[dict[str, Reading], dict[str, str]]:
        try:
            return {"process": self._management.process_memory()}, {}
        except ResourceError as error:
            return {}, {"peak_memory/process": str(error)}

    def _record(self) -> TimedEvent:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call,unused-ignore]
        event.record(torch.cuda.current_stream(self._index))
        return event


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _uuid(index: int) -> str:
    return str(torch.cuda.get_device_properties(index).uuid)
