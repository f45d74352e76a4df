"""The estimate where no hardware counter can be read: processor time x watts of a thread."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import psutil

from hwlit.devices.codecarbon_tables import CodeCarbon, open_codecarbon
from hwlit.devices.cpu_model import CpuModel
from hwlit.devices.energy import EnergyCounter, EnergySources
from hwlit.devices.thread_power import ThreadPower, thread_power
from hwlit.records import COST, Reading, estimated


class CpuTimeCounter(EnergyCounter):
    """Multiplies the processor time of the process tree by the watts of a busy thread.

    So it ranks runs as their processor time does, and knows neither RAM nor idle power.

    Args:
        watts: What one busy thread is taken to draw.
        model: The processor.
        codecarbon: The tables of CodeCarbon, for its own accounting of the same window.
    """

    component = "cpu"
    measured = False
    whole_node = False
    update_period = 0.01  # finished children are counted in clock ticks, 100 per second on Linux

    def __init__(self, watts: ThreadPower, model: CpuModel, codecarbon: CodeCarbon) -> None:
        self.how = estimated(
            f"{watts.how} x processor time of the process tree, CPU only: no RAM and no "
            f"idle power; ranks runs as processor time does; low and high at {watts.low:.3g} and "
            f"{watts.high:.3g} W per thread ({watts.why}) are a range of assumptions and no "
            "confidence interval"
        )
        self._watts = watts
        self._model = model
        self._codecarbon = codecarbon
        self._highest_s = 0.0
        self._lock = threading.Lock()

    def read(self) -> float:
        """Return the estimated joules since the process started."""
        with self._lock:
            # The sum dips while a child has ended and its parent has not yet asked for its times,
            # and where an orphan leaves the tree.
            self._highest_s = max(self._highest_s, process_tree_seconds())
            return self._highest_s * self._watts.middle

    def reading(self, joules: float) -> Reading:
        """Return joules with the range of assumptions that they rest on."""
        seconds = joules / self._watts.middle
        low, high = seconds * self._watts.low, seconds * self._watts.high
        return Reading(
            joules, "J", self.how, low, high, interval="range of assumptions", measure=COST
        )

    def codecarbon(self, joules: float, seconds: float) -> Reading:
        """Return what CodeCarbon would book for a window in which this counter counted joules."""
        return self._codecarbon.accounted(self._model, joules / self._watts.middle, seconds)


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
    """Return the estimate for this CPU, or why there is none."""
    tables = open_codecarbon(model)
    if isinstance(tables, str):
        return EnergySources(absent={"energy/cpu": tables})
    watts = thread_power(model, tables.tdp, tables.watts_per_thread)
    return EnergySources((CpuTimeCounter(watts, model, tables),))
