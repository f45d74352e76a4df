"""Stands in for the module pynvml: three GPUs, one of them ours."""

import os
from types import ModuleType, SimpleNamespace
from typing import Any

UUIDS = ("aaaa", "bbbb", "cccc")


class NVMLError(Exception):
    pass


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
