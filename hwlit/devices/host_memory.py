"""Resident memory of this process and its live children; on Linux with an exact peak."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import psutil

from hwlit.devices.processes import descendants
from hwlit.records import COST, How, Reading, measured

if sys.platform != "win32":
    import resource

PROC = Path("/proc")


class HostMemory:
    """The resident set of the process tree, less the other processes of a job of several.

    Args:
        proc: Where procfs is mounted; where it is missing (macOS, Windows) the peak is the one
            since the process started.

    Source: https://docs.kernel.org/filesystems/proc.html (VmHWM in `status`, "5" to `clear_refs`).
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._exact = False
        self._why_not = "no reset yet"

    def reset(self) -> None:
        """Start a new window: the peak falls to what is resident now, where that is allowed."""
        try:
            _reset_peak(self._proc / "self")
        except OSError as error:
            self._exact = False
            self._why_not = f"no reset: {error.strerror} ({error.filename})"
            return
        self._exact = True
        for process in descendants():
            with contextlib.suppress(OSError):  # ended meanwhile, or of another user
                _reset_peak(self._proc / str(process.pid))

    def peak(self) -> Reading:
        """Return the peak in bytes: this process plus the peaks of its live children."""
        value, how = self._own_peak()
        children = list(self._child_peaks())
        if children:
            how = how.and_(
                f", plus the VmHWM of {len(children)} live child processes"
                " (an upper bound: their peaks may fall apart in time, shared pages count in each)"
            )
        return Reading(value + sum(children), "B", how, measure=COST)

    def current(self) -> Reading:
        """Return the bytes resident now: this process plus its live children."""
        sizes = [psutil.Process().memory_info().rss]
        for process in descendants():
            with contextlib.suppress(psutil.Error):
                sizes.append(process.memory_info().rss)
        children = f" plus {len(sizes) - 1} live child processes" if len(sizes) > 1 else ""
        return Reading(sum(sizes), "B", measured(f"RSS of the process{children}"))

    def _own_peak(self) -> tuple[int, How]:
        if self._exact:
            peak = _peak_of(self._proc / "self")
            return peak, measured("VmHWM of the process, peak since the last reset")
        if sys.platform == "win32":
            peak = psutil.Process().memory_info().peak_wset
            how = measured(f"peak working set, peak since process start ({self._why_not})")
            return peak, how
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # In KiB, but for macOS, where it is in bytes: `man getrusage` there.
        peak = usage if sys.platform == "darwin" else usage * 1024
        return peak, measured(f"ru_maxrss, peak since process start ({self._why_not})")

    def _child_peaks(self) -> list[int]:
        peaks = []
        for process in descendants():
            with contextlib.suppress(OSError, LookupError):  # ended meanwhile, or a zombie
                peaks.append(_peak_of(self._proc / str(process.pid)))
        return peaks


def _reset_peak(process: Path) -> None:
    # O_WRONLY without O_CREAT: the file is write-only for its owner and must exist already.
    handle = os.open(process / "clear_refs", os.O_WRONLY)
    try:
        os.write(handle, b"5")
    finally:
        os.close(handle)


def _peak_of(process: Path) -> int:
    for line in (process / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024
    raise LookupError(f"{process}/status has no VmHWM")
