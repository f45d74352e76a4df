"""What the CPU is: its name, its sockets, and whether it is a virtual one."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class CpuModel:
    """The CPU, as far as the system tells.

    Args:
        name: The vendor's name, as in "AMD Ryzen 7 5800X 8-Core Processor".
        sockets: How many such CPUs there are.
        virtual: Whether a hypervisor hands out a share of it, of unknown size.
    """

    name: str
    sockets: int = 1
    virtual: bool = False


def read_cpu_model(cpuinfo: Path = CPUINFO) -> CpuModel:
    """Return the CPU of this machine; on Linux from `cpuinfo`."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return CpuModel(_name_without_procfs())
    facts: dict[str, set[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), set()).add(value.strip())
    # Arm has neither "model name" nor "physical id" there.
    names = facts.get("model name") or {_platform_name()}
    return CpuModel(
        name=" and ".join(sorted(names)),
        sockets=len(facts.get("physical id") or {"0"}),
        virtual=any("hypervisor" in flags.split() for flags in facts.get("flags", ())),
    )


def _name_without_procfs() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return _platform_name()
    return _platform_name()


def _platform_name() -> str:
    return platform.processor() or platform.machine() or "unknown CPU"
