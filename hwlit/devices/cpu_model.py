"""What the CPU is: its name, its sockets, its threads, and whether it is a virtual one."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

CPUINFO = Path("/proc/cpuinfo")
NUMBERS = {"dual": 2, "triple": 3, "quad": 4, "six": 6, "eight": 8, "twelve": 12, "sixteen": 16}
CORES = re.compile(rf"\b(\d{{1,4}}|{'|'.join(NUMBERS)})-core\b", re.IGNORECASE)
TWO_THREADS = re.compile("epyc|ryzen|threadripper|hygon", re.IGNORECASE)  # a core, since 2017
MOST_CORES = 1024  # of one processor; a larger number is no number of cores


@dataclass(frozen=True)
class CpuModel:
    """The CPU, as far as the system tells.

    Args:
        name: The vendor's name, as in "AMD Ryzen 7 5800X 8-Core Processor".
        sockets: How many such CPUs there are.
        virtual: Whether a hypervisor hands out a share of it, of unknown size.
        threads: Threads of one such CPU itself, not of a virtual machine; None where not known.
        threads_from: How they are known, in words.
        shown_threads: Threads of all CPUs that the system shows.
    """

    name: str
    sockets: int = 1
    virtual: bool = False
    threads: int | None = None
    threads_from: str = ""
    shown_threads: int = 1


def read_cpu_model(cpuinfo: Path = CPUINFO) -> CpuModel:
    """Return the CPU of this machine; on Linux from `cpuinfo`."""
    shown = psutil.cpu_count() or 1
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _without_procfs(shown)
    facts: dict[str, set[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), set()).add(value.strip())
    # Arm has neither "model name" nor "physical id" there.
    name = " and ".join(sorted(facts.get("model name") or {_platform_name()}))
    sockets = len(facts.get("physical id") or {"0"})
    virtual = any("hypervisor" in flags.split() for flags in facts.get("flags", ()))
    siblings = [int(n) for n in facts.get("siblings", ()) if n.isascii() and n.isdigit()]
    threads, source = _threads(name, virtual, max(siblings, default=0) or shown // sockets)
    return CpuModel(name, sockets, virtual, threads, source, shown)


def _threads(name: str, virtual: bool, shown: int) -> tuple[int | None, str]:
    """Return the threads of one processor and how they are known; a virtual machine shows its own.

    Args:
        name: The processor's name.
        virtual: Whether the machine is virtual.
        shown: Threads per socket that the system shows.
    """
    found = CORES.search(name)
    cores = int(NUMBERS.get(found[1].lower(), found[1])) if found else 0
    if not virtual and shown >= max(1, cores):  # fewer threads than cores are of a virtual machine
        return shown, "as the system shows"
    if 0 < cores <= MOST_CORES:
        return cores * (2 if TWO_THREADS.search(name) else 1), "by its name"
    return None, ""


def _without_procfs(shown: int) -> CpuModel:
    name = _name_without_procfs()
    virtual = "virtual" in name.lower()
    threads, source = _threads(name, virtual, shown)
    return CpuModel(name, 1, virtual, threads, source, shown)


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
