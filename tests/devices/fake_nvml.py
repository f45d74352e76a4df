"""Stands in for the module pynvml: three GPUs, one of them ours."""

import os
from types import ModuleType, SimpleNamespace
from typing import Any

UUIDS = ("aaaa", "bbbb", "cccc")


class NVMLError(Exception):
    value = 3  # not supported


class FakeNvml(ModuleType):
    """Answers like pynvml; `millijoules` and `processes` are by GPU."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.millijoules: dict[str, int | None] = {"aaaa": 10**9, "bbbb": 5000, "cccc": 10**9}
        self.processes: dict[str, list[Any]] = {uuid: [] for uuid in UUIDS}
        self.loadable = True
        self.hold("bbbb", os.getpid(), 700)
        self.hold("bbbb", 1, 10**6)  # another process on our GPU
        self.hold("aaaa", os.getpid(), 10**6)  # our process on another GPU

    def hold(self, uuid: str, pid: int, used: int | None) -> None:
        self.processes[uuid].append(SimpleNamespace(pid=pid, usedGpuMemory=used))

    def nvmlInit(self) -> None:
        if not self.loadable:
            raise NVMLError("Driver Not Loaded")

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        handle = uuid.removeprefix("GPU-")
        if not uuid.startswith("GPU-") or handle not in UUIDS:
            raise NVMLError("Not Found")
        return handle

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        value = self.millijoules[handle]
        if value is None:
            raise NVMLError("Not Supported")
        return value

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return self.processes[handle]

    # What a GPU does now; None where it does not tell.

    NVML_CLOCK_SM = 1
    NVML_ERROR_NOT_FOUND = 6
    nvmlClocksThrottleReasonSwPowerCap = 4
    nvmlClocksThrottleReasonHwSlowdown = 8
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 0x80
    utilisation: int | None = 80
    reasons: int | None = 0
    clock: int | None = 1200
    used: tuple[tuple[int, int, int], ...] | None = ()  # process, time stamp, share in percent
    since = 0

    def _tell(self, value: Any, code: int = 3) -> Any:
        if value is None:
            error = NVMLError("Not Supported")
            error.value = code
            raise error
        return value

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return SimpleNamespace(gpu=self._tell(self.utilisation), memory=1)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return int(self._tell(self.reasons))

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return int(self._tell(self.clock))

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        return 1600

    def nvmlDeviceGetProcessUtilization(self, handle: str, since: int) -> list[Any]:
        self.since = since
        found = [
            SimpleNamespace(pid=pid, timeStamp=stamp, smUtil=share)
            for pid, stamp, share in self._tell(self.used)
        ]
        return list(self._tell(found or None, self.NVML_ERROR_NOT_FOUND))
