"""What NVIDIA's management library tells about one GPU; the only file that knows pynvml."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import psutil

from hwlit.devices.energy import EnergyCounter, EnergySources, SummedCounter
from hwlit.devices.processes import descendants
from hwlit.errors import ResourceError
from hwlit.records import COST, Reading, measured, sampled


class GpuManagement(ABC):
    """What is known of a GPU beside what torch tells.

    Attributes:
        facts: Plain data for `Device.describe`.
        energy: The energy counter, or why there is none.
    """

    facts: dict[str, str]
    energy: EnergySources

    @abstractmethod
    def process_memory(self) -> Reading:
        """Return the GPU memory that this process and its children hold now, in bytes.

        Raises:
            ResourceError: It cannot be told; the text says why.
        """


class Unmanaged(GpuManagement):
    """Stands in where the library or the GPU cannot be reached.

    Args:
        reason: Why.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self.facts = {}
        self.energy = EnergySources(absent={"energy/gpu": reason})

    def process_memory(self) -> Reading:
        """Refuse, with the reason.

        Raises:
            ResourceError: Always.
        """
        raise ResourceError(self._reason)


class Nvml(GpuManagement):
    """Asks NVML about one GPU.

    Args:
        pynvml: The module, initialised.
        handle: NVML's handle of the GPU.

    Source: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html.
    """

    def __init__(self, pynvml: Any, handle: Any) -> None:
        self._pynvml = pynvml
        self._handle = handle
        self.facts = {"driver": str(pynvml.nvmlSystemGetDriverVersion())}
        counter = NvmlCounter(pynvml, handle)
        try:
            counter.read()
        except ResourceError as error:
            self.energy = EnergySources(absent={"energy/gpu": str(error)})
        else:
            self.energy = EnergySources((counter,))

    def process_memory(self) -> Reading:
        """Return the bytes that NVML books to this process and its children now.

        Raises:
            ResourceError: NVML does not list the process (another PID namespace, as in containers)
                or does not tell its memory (Windows display driver model).
        """
        own = psutil.Process()
        pids = {own.pid, *(child.pid for child in descendants())}
        try:
            processes = self._pynvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._pynvml.NVMLError as error:
            raise ResourceError(f"NVML does not list processes ({error})") from error
        used = [process.usedGpuMemory for process in processes if process.pid in pids]
        if not used:
            raise ResourceError(
                f"NVML lists {len(processes)} processes and none is ours (PID {own.pid}):"
                " no work on the GPU yet, or another PID namespace, as in containers"
            )
        if None in used:
            raise ResourceError("this NVIDIA driver does not tell the memory of single processes")
        how = sampled(f"NVML memory of {len(used)} processes, now (NVML keeps no peak)")
        return Reading(sum(used), "B", how, measure=COST)


class NvmlCounter(EnergyCounter):
    """Reads the GPU's own energy counter, Volta and later.

    Args:
        pynvml: The module, initialised.
        handle: NVML's handle of the GPU.
    """

    component = "gpu"
    how = measured("NVML total energy counter, whole GPU with all processes on it")
    measured = True
    # https://ml.energy/blog/energy/measurement/thermally-stable-profiling-for-accurate-gpu-energy-measurement
    update_period = 0.1

    def __init__(self, pynvml: Any, handle: Any) -> None:
        self._pynvml = pynvml
        self._handle = handle

    def read(self) -> float:
        """Return the joules since the driver was loaded.

        Raises:
            ResourceError: The GPU has no such counter or is gone.
        """
        try:
            millijoules = self._pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except self._pynvml.NVMLError as error:
            raise ResourceError(
                f"NVML gives no energy counter ({error}): it needs Volta or later, and a whole GPU"
            ) from error
        return float(millijoules) / 1000


def sum_energy(gpus: Sequence[GpuManagement]) -> EnergySources:
    """Return one counter for these GPUs, or why there is none: a part would pass for the whole."""
    for gpu in gpus:
        if not gpu.energy.counters:
            return gpu.energy
    counters = [counter for gpu in gpus for counter in gpu.energy.counters]
    return EnergySources((counters[0] if len(counters) == 1 else SummedCounter(counters),))


def open_nvml(uuid: str) -> GpuManagement:
    """Return what NVML tells about the GPU with this UUID.

    The UUID identifies the GPU whatever CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER make of the
    indices, which NVML does not follow.

    Args:
        uuid: The UUID as torch gives it, without the prefix "GPU-".
    """
    try:
        import pynvml
    except ImportError as error:
        return Unmanaged(f"NVML needs the package nvidia-ml-py ({error})")
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except pynvml.NVMLError as error:
        return Unmanaged(f"NVML does not reach GPU-{uuid} ({error})")
