"""A TPU behind torch_xla; the only file that knows torch_xla."""

from __future__ import annotations

from typing import Any

import torch

from hwlit.devices.base import Device
from hwlit.devices.clock import HostClock
from hwlit.devices.cpu import Cpu
from hwlit.devices.energy import EnergyCounter
from hwlit.errors import ResourceError
from hwlit.records import COST, FACT, How, Measure, Reading, measured


class Tpu(Device):
    """Measures one XLA device, and the host process beside it.

    XLA records work and compiles it later, so that a mark is only the host's clock: seconds are
    exact between two `synchronize()`, and over many steps, but not for one step in between.

    Args:
        torch_device: The XLA device.
        host: The CPU that drives it.

    Raises:
        ResourceError: torch_xla is not installed.

    Source: https://docs.pytorch.org/xla/master/learn/api-guide.html.
    """

    kind = "tpu"
    main_memory = "allocated"

    def __init__(self, torch_device: torch.device, host: Cpu) -> None:
        try:
            import torch_xla
            import torch_xla.core.xla_model as xla_model
            import torch_xla.runtime as runtime
        except ImportError as error:
            raise ResourceError(f"a TPU needs torch_xla[tpu] beside torch 2.9 ({error})") from error
        self._device = torch_device
        self._host = host
        self._sync = torch_xla.sync
        self._xla_model = xla_model
        self._runtime = runtime
        self.clock = HostClock(
            "time.perf_counter when work was queued, exact between two synchronisations"
        )

    def describe(self) -> dict[str, Any]:
        """Return the hardware behind XLA, the number of devices, memory in bytes and the host."""
        try:
            memory = {"memory": int(self._memory_info()["bytes_limit"])}
        except (RuntimeError, KeyError):
            memory = {}
        return {
            "kind": self.kind,
            "name": str(self._xla_model.xla_device_hw(self._device)),
            "count": int(self._runtime.global_runtime_device_count()),
            **memory,
            "host": self._host.describe(),
        }

    def synchronize(self) -> None:
        """Compile and run what is recorded, then wait for it."""
        self._sync()
        self._xla_model.wait_device_ops()

    def reset_peak_memory(self) -> None:
        """Start a new window for the resident peak; XLA cannot reset the peak of the device."""
        self._host.reset_peak_memory()

    def peak_memory(self) -> dict[str, Reading]:
        """Return the device's peak since the process started, and the resident peak, in bytes."""
        how = measured("XLA peak_bytes_used, peak since process start")
        found, _ = self._memory("peak_bytes_used", how, COST)
        return {**found, **self._host.peak_memory()}

    def current_memory(self) -> dict[str, Reading]:
        """Return what is in use on the device and resident on the host, in bytes."""
        found, _ = self._memory("bytes_used", measured("XLA bytes_used"), FACT)
        return {**found, **self._host.current_memory()}

    def absent(self) -> dict[str, str]:
        """Return why there is no energy, and why no memory where XLA does not tell it."""
        reason = "torch_xla has no energy counter"
        _, absent = self._memory("peak_bytes_used", measured(""), COST)
        return {"energy": reason, "energy/tpu": reason, **absent}

    def energy_counters(self) -> tuple[EnergyCounter, ...]:
        """Return none: the host's alone would pass for the energy of the run."""
        return ()

    def _memory(
        self, key: str, how: How, measure: Measure
    ) -> tuple[dict[str, Reading], dict[str, str]]:
        try:
            used = int(self._memory_info()[key])
            return {"allocated": Reading(used, "B", how, measure=measure)}, {}
        except (RuntimeError, KeyError) as error:
            reason = f"XLA does not tell {key} of this device ({type(error).__name__}: {error})"
            return {}, {"peak_memory": reason, "peak_memory/allocated": reason}

    def _memory_info(self) -> Any:
        return self._xla_model.get_memory_info(self._device)


def tpu_chips() -> int:
    """Return how many TPU chips torch_xla finds on this machine's bus; it takes none of them."""
    try:
        from torch_xla._internal import tpu
    except ImportError:
        return 0
    return int(tpu.num_available_chips())
