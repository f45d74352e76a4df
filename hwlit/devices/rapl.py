"""CPU and DRAM energy from RAPL, the counters that Intel and AMD CPUs show under powercap.

Source: https://docs.kernel.org/power/powercap/powercap.html (zones, `energy_uj`,
`max_energy_range_uj`); readable by root only since CVE-2020-8694.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from hwlit.devices.energy import EnergyCounter, EnergySources
from hwlit.errors import ResourceError
from hwlit.records import measured

POWERCAP = Path("/sys/class/powercap")
WATCH_PAUSE_S = 30.0
"""Seconds between two looks for a wrap: the smallest range met, 65 kJ, lasts that long at 2 kW."""
MIRROR_TOLERANCE_UJ = 1_000_000
"""What one die may use between two reads of a counter that it shares with another die."""


class Zone:
    """One RAPL zone; its 32-bit counter wraps, its total does not.

    Args:
        path: The zone's directory.

    Raises:
        OSError: The counter cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = _text(path / "name")
        self._range_uj = int(_text(path / "max_energy_range_uj"))
        self.first_uj = self._last_uj = self._read_uj()
        self._total_uj = 0

    def advance(self) -> int:
        """Take what the counter gained since the last call and return the total in microjoules."""
        now_uj = self._read_uj()
        gained_uj = now_uj - self._last_uj
        self._total_uj += gained_uj if gained_uj >= 0 else gained_uj + self._range_uj
        self._last_uj = now_uj
        return self._total_uj

    def _read_uj(self) -> int:
        return int(_text(self.path / "energy_uj"))


class RaplCounter(EnergyCounter):
    """Sums one component over all sockets.

    From the first reading on, a daemon thread looks at the zones now and then, for a counter that
    wraps twice between two readings would lose a whole range without a sign.

    Args:
        component: "cpu" (package zones) or "dram".
        zones: One per socket.
        watch_pause: Seconds between two looks.
    """

    measured = True
    update_period = 0.001  # Intel SDM vol. 3B, "RAPL interfaces": about 1 ms

    def __init__(
        self, component: str, zones: Sequence[Zone], watch_pause: float = WATCH_PAUSE_S
    ) -> None:
        self.component = component
        names = ", ".join(zone.name for zone in zones)
        self.how = measured(f"RAPL {names}, all processes on the machine")
        self._zones = tuple(zones)
        self._lock = threading.Lock()
        self._watch = threading.Thread(
            target=_watch, args=(weakref.ref(self), watch_pause), name="hwlit-rapl", daemon=True
        )

    def read(self) -> float:
        """Return the joules since the counter was opened.

        Raises:
            ResourceError: A zone can no longer be read.
        """
        with self._lock:
            if self._watch.ident is None:
                self._watch.start()
            try:
                return sum(zone.advance() for zone in self._zones) / 1e6
            except (OSError, ValueError) as error:
                raise ResourceError(f"RAPL can no longer be read ({error})") from error


def open_rapl(root: Path = POWERCAP) -> EnergySources:
    """Return a counter for the CPU packages and one for their DRAM, or why there is none.

    Other zones are left out: core and uncore are parts of a package, psys contains it.
    """
    packages = [
        path
        for path in sorted(root.glob("intel-rapl:*"))
        if re.fullmatch(r"intel-rapl:\d+", path.name) and _zone_name(path).startswith("package")
    ]
    if not packages:
        reason = f"no RAPL package under {root}: other hardware, a virtual machine or a container"
        return EnergySources(absent={"energy/cpu": reason, "energy/dram": reason})
    drams = [
        path
        for package in packages
        for path in sorted(package.glob(f"{package.name}:*"))
        if _zone_name(path) == "dram"
    ]
    found = _open("cpu", packages)
    if not drams:
        reason = "RAPL has no DRAM zone on this CPU"
        return found.joined(EnergySources(absent={"energy/dram": reason}))
    return found.joined(_open("dram", drams))


def _open(component: str, paths: Sequence[Path]) -> EnergySources:
    try:
        zones = [Zone(path) for path in paths]
    except (OSError, ValueError) as error:
        return EnergySources(absent={f"energy/{component}": _refusal(error, paths[0])})
    return EnergySources((RaplCounter(component, _without_mirrors(zones)),))


def _without_mirrors(zones: Sequence[Zone]) -> list[Zone]:
    """Drop the dies that show their socket's counter once more, as some AMD CPUs do.

    Source: https://github.com/mlco2/codecarbon/issues/1274.
    """
    kept: list[Zone] = []
    for zone in zones:
        mirrored = "-die-" in zone.name and any(
            abs(zone.first_uj - other.first_uj) < MIRROR_TOLERANCE_UJ for other in kept
        )
        if not mirrored:
            kept.append(zone)
    return kept


def _refusal(error: Exception, path: Path) -> str:
    if not isinstance(error, PermissionError):
        return f"RAPL is there but cannot be read ({error})"
    return (
        f"RAPL is there but this user may not read {path}/energy_uj (permission denied); allow it"
        " for good with the udev rule"
        ' SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod a+r /sys%p/energy_uj"'
        f" or, with sysfsutils, with the line 'mode class/powercap/{path.name}/energy_uj = 0444'"
        " in /etc/sysfs.conf"
    )


def _watch(counter_ref: weakref.ref[RaplCounter], pause: float) -> None:
    while True:
        time.sleep(pause)
        counter = counter_ref()
        if counter is None:
            return
        try:
            counter.read()
        except ResourceError:  # the next reading says so to the one who asked for it
            return
        del counter


def _zone_name(path: Path) -> str:
    try:
        return _text(path / "name")
    except OSError:
        return ""


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
