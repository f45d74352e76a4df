"""What NVIDIA's management library tells about one GPU; the only file that knows pynvml."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Sequence
from typing import Any

import psutil

from hwlit.devices.energy import EnergyCounter, EnergySources, SummedCounter
from hwlit.devices.gpu_load import GpuSample
from hwlit.devices.processes import descendants
from hwlit.errors import ResourceError
from hwlit.records import COST, Reading, measured, sampled

# By the names that NVML's constants have after `nvmlClocksThrottleReason`. Not among them is the
# power limit, at which many GPUs work all the time.
SLOWED = {
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "heat",
    "HwThermalSlowdown": "heat",
    "HwPowerBrakeSlowdown": "power brake",
}


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

    @abstractmethod
    def sample(self, own: Container[int]) -> GpuSample:
        """Return what the GPU does now.

        Args:
            own: Which process ids are no others.

        Raises:
            ResourceError: Nothing can be told; the text says why.
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

    def sample(self, own: Container[int]) -> GpuSample:
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
        self._seen_us = 0
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

    def sample(self, own: Container[int]) -> GpuSample:
        """Return what the GPU does now; a few calls, of tens of microseconds each.

        Raises:
            ResourceError: The GPU does not even tell its utilisation.
        """
        module, handle = self._pynvml, self._handle
        try:
            rates = module.nvmlDeviceGetUtilizationRates(handle)
        except module.NVMLError as error:
            raise ResourceError(f"NVML does not tell the utilisation ({error})") from error
        # The older names: "EventReasons" came with driver 535.
        reasons = self._ask(module.nvmlDeviceGetCurrentClocksThrottleReasons)
        clock = self._ask(module.nvmlDeviceGetClockInfo, module.NVML_CLOCK_SM)
        highest = self._ask(module.nvmlDeviceGetMaxClockInfo, module.NVML_CLOCK_SM)
        running = self._ask(module.nvmlDeviceGetComputeRunningProcesses)
        pids = None if running is None else {process.pid for process in running}
        return GpuSample(
            utilisation=rates.gpu / 100,
            clock=clock / highest if clock is not None and highest else None,
            slowed=None if reasons is None else tuple(self._slowed(reasons)),
            power_capped=bool((reasons or 0) & module.nvmlClocksThrottleReasonSwPowerCap),
            others=None if pids is None else self._others(pids, own),
            other_processes=None if pids is None else _strangers(pids, own),
        )

    def _ask(self, question: Callable[..., Any], *more: Any) -> Any:
        try:
            return question(self._handle, *more)
        except self._pynvml.NVMLError:
            return None

    def _slowed(self, reasons: int) -> list[str]:
        names = (
            n for n in SLOWED if reasons & getattr(self._pynvml, f"nvmlClocksThrottleReason{n}")
        )
        return list(dict.fromkeys(SLOWED[name] for name in names))

    def _others(self, pids: Collection[int], own: Container[int]) -> float | None:
        """Return the share of the time in which others ran; None where it is not told."""
        if pids and not any(pid in own for pid in pids):
            return None  # another PID namespace: ours cannot be told from theirs
        module = self._pynvml
        try:
            samples = module.nvmlDeviceGetProcessUtilization(self._handle, self._seen_us)
        except module.NVMLError as error:
            # That nothing ran since is an error too.
            return 0.0 if error.value == module.NVML_ERROR_NOT_FOUND else None
        self._seen_us = max([self._seen_us, *(sample.timeStamp for sample in samples)])
        used: dict[int, list[int]] = {}
        for sample in samples:
            if sample.pid not in own:
                used.setdefault(sample.pid, []).append(sample.smUtil)
        return min(1.0, sum(sum(shares) / len(shares) for shares in used.values()) / 100)


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


def _strangers(pids: Collection[int], own: Container[int]) -> int:
    """Return how many are not ours; where none is known as ours, one of them is all the same."""
    strangers = sum(pid not in own for pid in pids)
    return strangers if strangers < len(pids) else max(0, strangers - 1)


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
