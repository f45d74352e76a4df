"""The estimate where no hardware counter can be read: CPU time x thermal design power per core."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import psutil

from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.energy import EnergyCounter, EnergySources
from hwlit.records import How, estimated


class CpuTimeCounter(EnergyCounter):
    """Multiplies the CPU seconds of the process tree by watts per logical core.

    Args:
        watts_per_core: What one logical core is taken to draw while it works.
        how: Where the watts come from.
    """

    component = "cpu"
    measured = False
    whole_node = False
    update_period = 0.01  # finished children are counted in clock ticks, 100 per second on Linux

    def __init__(self, watts_per_core: float, how: How) -> None:
        self.how = how
        self._watts = watts_per_core
        self._highest_s = 0.0
        self._lock = threading.Lock()

    def read(self) -> float:
        """Return the estimated joules since the process started."""
        with self._lock:
            # The sum dips while a child has ended and its parent has not yet asked for its times,
            # and where an orphan leaves the tree.
            self._highest_s = max(self._highest_s, process_tree_seconds())
            return self._highest_s * self._watts


def process_tree_seconds() -> float:
    """Return the CPU seconds of this process and of its live and finished descendants.

    On Windows the system does not tell what finished children used.
    """
    # Parents before children: a child that ends in between is missed once, never counted twice.
    times = os.times()
    total = time.process_time() + times.children_user + times.children_system
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return float(total)


def open_estimate(model: CpuModel) -> EnergySources:
    """Return the estimate for this CPU, or why there is none.

    The watts come from codecarbon's table, read from its package: no tracker, no network.
    """
    try:
        from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE, TDP

        # TDP() itself would print warnings, start processes and hide whether it found the model;
        # only its look-up is wanted.
        found_w = TDP.__new__(TDP)._get_cpu_power_from_registry(model.name)
    except (ImportError, AttributeError) as error:
        reason = f"no estimate of CPU energy without codecarbon ({error}): install hwlit[energy]"
        return EnergySources(absent={"energy/cpu": reason})
    cores = psutil.cpu_count() or 1
    if found_w:
        tdp_w = float(found_w) * model.sockets
        source = f"codecarbon's table, {model.name}" + (
            f", {model.sockets} sockets" if model.sockets > 1 else ""
        )
    else:
        tdp_w = float(DEFAULT_POWER_PER_CORE) * cores
        source = f"codecarbon, {DEFAULT_POWER_PER_CORE} W per thread, CPU model not in its table"
    share = ", virtual machine: its share of the CPU is not known" if model.virtual else ""
    how = estimated(
        f"TDP {tdp_w:g} W ({source}{share}) x CPU time of the process tree / {cores} logical cores"
    )
    return EnergySources((CpuTimeCounter(tdp_w / cores, how),))
