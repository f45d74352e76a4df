"""Whether the processors were a run's own: what the kernel knows of waiting, steal and throttling.

All sources are counters that only grow, read when a phase begins and when it ends. On Linux:
`schedstat` of every thread tells how long it ran and how long it was ready and waited for a
processor, `/proc/stat` what all processes used of the processors and what a hypervisor took of
them, `cpu.stat` of the control groups for how many periods a quota stopped them, and
`thermal_throttle` how long a processor was slowed down for its heat. Elsewhere there is only what
the processes used.

A run can make its own threads wait, with more of them than processors, so not all waiting is
somebody else's doing: see `Load.waited_for_others` in `load.py`.

Source: https://docs.kernel.org/scheduler/sched-stats.html (`/proc/<pid>/schedstat`),
https://docs.kernel.org/filesystems/proc.html (`/proc/stat`),
https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.stat`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC, CGROUPS, CPUS = Path("/proc"), Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")
TICKS = 100  # of /proc/stat in a second: USER_HZ, which is 100 on all of Linux


@dataclass(frozen=True)
class Processors:
    """What a process may compute on.

    Args:
        numbers: The processors that it may run on, as Linux numbers them; none elsewhere.
        count: How many there are, less where a quota allows less.
    """

    numbers: frozenset[int]
    count: float


class HostCounters:
    """Reads what the kernel counts, of a process tree and of the processors that it may run on.

    Args:
        processes: Returns the processes that count as our own, this one among them.
        proc: Where procfs is mounted.
        cgroups: Where the control groups are mounted.
        cpus: Where sysfs shows the processors.
    """

    def __init__(
        self,
        processes: Callable[[], Sequence[psutil.Process]],
        proc: Path = PROC,
        cgroups: Path = CGROUPS,
        cpus: Path = CPUS,
    ) -> None:
        self._processes = processes
        self._proc = proc
        self._groups = _groups(proc / "self" / "cgroup", cgroups)
        self.processors = _processors(self._groups)
        shown = (cpus / f"cpu{number}" / "thermal_throttle" for number in self.processors.numbers)
        self._thermal = [path for folder in shown for path in folder.glob("*_total_time_ms")]
        self._threads: dict[tuple[int, int], tuple[int, int]] = {}
        self._ran = self._waited = 0
        self._own = 0.0
        self.absent = self._missing()

    def read(self) -> dict[str, float]:
        """Return the counters by name, in seconds or, of periods of a quota, in numbers.

        A name is missing where the system does not have it; see `absent`.
        """
        found = {"wall": time.perf_counter()}
        processes = self._processes()
        found["own"] = self._processor_time(processes)
        with contextlib.suppress(OSError, ValueError, LookupError):
            found |= self._machine()
        if "run_queue_wait" not in self.absent:
            self._follow([process.pid for process in processes])
            found |= {"ran": self._ran / 1e9, "waited": self._waited / 1e9}
        for number, group in enumerate(self._groups):
            counts = _pairs(group / "cpu.stat")
            if counts.get("nr_periods"):
                found[f"periods/{number}"] = counts["nr_periods"]
                found[f"throttled/{number}"] = counts.get("nr_throttled", 0)
        for number, path in enumerate(self._thermal):
            with contextlib.suppress(OSError, ValueError):
                found[f"hot/{number}"] = int(path.read_text()) / 1000
        return found

    def _processor_time(self, processes: Sequence[psutil.Process]) -> float:
        total = 0.0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                total += used.user + used.system
                total += getattr(used, "children_user", 0.0) + getattr(used, "children_system", 0.0)
        # The sum dips while a child has ended and its parent has not yet asked for its times.
        self._own = max(self._own, total)
        return self._own

    def _machine(self) -> dict[str, float]:
        """Return what our processors did for all processes: busy, idle, and taken from them."""
        if not self.processors.numbers:
            times = psutil.cpu_times()
            idle = times.idle + getattr(times, "iowait", 0.0)
            return {"busy": sum(times) - idle, "idle": idle}
        busy = idle = steal = 0
        for line in (self._proc / "stat").read_text().splitlines():
            name, *numbers = line.split()
            if not name[3:].isdigit() or int(name[3:]) not in self.processors.numbers:
                continue
            user, nice, system, idling, iowait, irq, softirq, stolen = map(int, numbers[:8])
            busy += user + nice + system + irq + softirq  # guests are part of user
            idle += idling + iowait
            steal += stolen
        return {"busy": busy / TICKS, "idle": idle / TICKS, "steal": steal / TICKS}

    def _follow(self, pids: Collection[int]) -> None:
        """Add what each thread ran and waited since it was last met.

        What a thread did after that is lost where it has ended.
        """
        known, self._threads = self._threads, {}
        for pid in pids:
            for thread, ran, waited in self._threads_of(pid):
                before = known.get((pid, thread), (0, 0))
                if ran < before[0]:  # another thread, of the same number
                    before = (0, 0)
                self._ran += ran - before[0]
                self._waited += waited - before[1]
                self._threads[pid, thread] = (ran, waited)

    def _threads_of(self, pid: int) -> Iterator[tuple[int, int, int]]:
        folder = self._proc / str(pid) / "task"
        try:
            threads = os.listdir(folder)
        except OSError:  # ended meanwhile
            return
        for thread in threads:
            with contextlib.suppress(OSError, ValueError):
                text = (folder / thread / "schedstat").read_text()
                ran, waited = map(int, text.split()[:2])
                yield int(thread), ran, waited

    def _missing(self) -> dict[str, str]:
        absent = {}
        if not any(ran for _, ran, _ in self._threads_of(os.getpid())):
            absent["run_queue_wait"] = (
                "this system does not count how long threads wait (schedstat)"
            )
        try:
            if "steal" not in self._machine():
                absent["steal"] = "this system does not tell what a hypervisor takes"
        except (OSError, ValueError, LookupError) as error:
            absent["steal"] = f"/proc/stat cannot be read ({type(error).__name__})"
        if not any(_pairs(group / "cpu.stat").get("nr_periods") for group in self._groups):
            absent["quota_throttled"] = (
                "no control group of this process has a quota that is counted"
            )
        if not self._thermal:
            absent["thermally_throttled"] = (
                "the processor does not show how long it is slowed down for its heat"
            )
        return absent


class JobProcesses(Container[int]):
    """The processes of this job on this node: this one, and all that it has started.

    Whether one of them is ours is asked of its parents: to list all takes tens of milliseconds
    where thousands run.

    Args:
        started_outside: Whether something else (torchrun, SLURM) started this process and its
            siblings; then what that has started are ours.
    """

    def __init__(self, started_outside: bool = False) -> None:
        own = psutil.Process()
        self._root = (own.parent() if started_outside else None) or own

    def __call__(self) -> list[psutil.Process]:
        """Return them."""
        with contextlib.suppress(psutil.Error):
            return [self._root, *self._root.children(recursive=True)]
        return [psutil.Process()]

    def __contains__(self, pid: object) -> bool:
        """Return whether a process is one of them."""
        if pid in (self._root.pid, os.getpid()):
            return True
        with contextlib.suppress(psutil.Error, ValueError, TypeError, OverflowError):
            return self._root in psutil.Process(pid).parents()  # type: ignore[arg-type]
        return False  # it has ended, or is of another PID namespace


def _processors(groups: Sequence[Path]) -> Processors:
    try:
        numbers = frozenset(psutil.Process().cpu_affinity())  # type: ignore[arg-type,unused-ignore]
    except AttributeError:  # macOS
        return Processors(frozenset(), float(psutil.cpu_count() or 1))
    if not PROC.is_dir():
        return Processors(frozenset(), float(len(numbers)))
    return Processors(numbers, min([float(len(numbers)), *map(_quota, groups)]))


def _groups(own: Path, root: Path) -> list[Path]:
    """Return the control groups that limit this process: its own and those above it.

    A container sees its own group at the root, whatever the path says.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    places: dict[Path, None] = {}
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]
        for mount in filter(Path.is_dir, mounts):
            below = mount / path.strip("/")
            places |= dict.fromkeys(p for p in (below, *below.parents) if p.is_relative_to(mount))
    return [place for place in places if (place / "cpu.stat").is_file()]


def _quota(group: Path) -> float:
    """Return how many processors a group may use."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota_us = int((group / "cpu.cfs_quota_us").read_text())
        period_us = int((group / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else float("inf")
    return float("inf")


def _pairs(path: Path) -> dict[str, float]:
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return {name: float(value) for name, value in lines}
    except (OSError, ValueError):
        return {}
