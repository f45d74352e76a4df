"""What the installed CodeCarbon knows, without its tracker and without the network.

It gives the thermal design power (TDP) of processors by name, and what CodeCarbon itself would book
for a window: https://docs.codecarbon.io/latest/explanation/methodology/.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from hwlit.devices.cpu_model import CpuModel
from hwlit.records import Reading, estimated

# What vendors write around the model in a processor's name.
AROUND = re.compile(
    r"\((?:r|tm)\)|®|™|\b(?:cpu|processor)\b|\b\d+th gen\b|\b1st gen\b|\b2nd gen\b|\b3rd gen\b"
    r"|\b(?:\d+|dual|triple|quad|six|eight|twelve|sixteen)-core\b|@.*|\b(?:with|w/) .*graphics.*",
    re.IGNORECASE,
)
LEAST_LOAD_SHARE = 0.1  # of the TDP that CodeCarbon books for an idle machine


@dataclass(frozen=True)
class CodeCarbon:
    """The tables of the installed package.

    Args:
        version: Its version.
        tdp: Watts of one processor by its name, as `plain_name` gives it.
        watts_per_thread: What it books for each thread of a processor that it does not know.
        own_tdp: What its own search, which takes similar names as well, finds for this processor.
        ram: Watts that it books for this machine's memory.
    """

    version: str
    tdp: Mapping[str, float]
    watts_per_thread: float
    own_tdp: float | None
    ram: float

    def accounted(self, model: CpuModel, cpu_seconds: float, seconds: float) -> Reading:
        """Return the joules that CodeCarbon would book for a window, by its default settings.

        Args:
            model: The processor.
            cpu_seconds: Processor time of this run; CodeCarbon counts that of all processes.
            seconds: How long the window was, above 0.
        """
        threads = psutil.cpu_count() or 1
        tdp = (self.own_tdp or self.watts_per_thread * threads) * model.sockets
        load = min(1.0, cpu_seconds / (seconds * threads))
        watts = tdp * (LEAST_LOAD_SHARE + (1 - LEAST_LOAD_SHARE) * load**3) + self.ram
        how = estimated(
            f"the accounting of CodeCarbon {self.version} for the whole machine: "
            f"CPU {tdp:g} W x ({LEAST_LOAD_SHARE:g} + {1 - LEAST_LOAD_SHARE:g} x load^3) + RAM "
            f"{self.ram:g} W, idle power included; load {load:.2f}, of this run's processor time "
            f"alone; computed, not tracked"
        )
        return Reading(watts * seconds, "J", how)


def plain_name(name: str) -> str:
    """Return the name of a processor without marks, clock rate and number of cores."""
    return " ".join(AROUND.sub(" ", name).lower().split())


def open_codecarbon(model: CpuModel) -> CodeCarbon | str:
    """Return the tables of the installed package, or why there are none."""
    try:
        from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE, TDP
        from codecarbon.external.ram import RAM
        from codecarbon.input import DataSource

        table = DataSource().get_cpu_power_data()  # type: ignore[no-untyped-call]
        named = zip(table["Name"], table["TDP"], strict=True)
        # TDP() itself would print warnings, start processes and hide whether it found the model;
        # only its look-up is wanted.
        found = TDP.__new__(TDP)._get_cpu_power_from_registry(model.name)
        ram = RAM(tracking_mode="machine")._calculate_ram_power(
            psutil.virtual_memory().total / 2**30
        )
        return CodeCarbon(
            version=importlib.metadata.version("codecarbon"),
            tdp={plain_name(str(name)): watts for name, tdp in named if (watts := _watts(tdp))},
            watts_per_thread=float(DEFAULT_POWER_PER_CORE),
            own_tdp=_watts(found),
            ram=float(ram),
        )
    except (ImportError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        return f"no estimate of CPU energy without codecarbon ({error}): install hwlit[energy]"


def _watts(value: object) -> float | None:
    """Return a power as a number; None for what is no power, of which the table has a few."""
    try:
        watts = float(str(value))
    except ValueError:
        return None
    return watts if 0 < watts < math.inf else None
