"""What a GPU does while a run goes on: utilisation, clocks, what slows it down, who else is on it.

A daemon thread samples it, for NVML keeps no such counters: what it reads is a mean over the last
sixth of a second to second. Sums of the samples grow like counters, so that those of a phase are
a difference.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Protocol

from hwlit.errors import ResourceError

PAUSE_S = 0.5
BUSY = 0.5  # utilisation from which a GPU should be at its full clock


@dataclass(frozen=True)
class GpuSample:
    """What one look at a GPU found; None where it is not told.

    Args:
        utilisation: Share of the time in which anything ran on it.
        clock: Its clock as a share of its highest.
        slowed: What slows it down beyond its own power limit, in words.
        power_capped: Whether its power limit slows it down, as heavy work does on many GPUs.
        others: Share of the time in which other processes ran on it.
        other_processes: How many others hold memory for computing on it.
    """

    utilisation: float | None = None
    clock: float | None = None
    slowed: tuple[str, ...] | None = None
    power_capped: bool = False
    others: float | None = None
    other_processes: int | None = None


class Sampled(Protocol):
    """What can be looked at."""

    def sample(self, own: Container[int]) -> GpuSample:
        """Return what is found now.

        Args:
            own: Which process ids are no others.

        Raises:
            ResourceError: Nothing can be told; the text says why.
        """


class GpuWatch:
    """Samples a GPU now and then, from the first reading on.

    Args:
        gpu: What to look at.
        own: Which process ids are no others.
        pause: Seconds between two looks.
    """

    def __init__(self, gpu: Sampled, own: Container[int], pause: float = PAUSE_S) -> None:
        self._gpu, self._own = gpu, own
        self._sums: dict[str, float] = {}
        self._fresh = False
        self._lock = threading.Lock()
        self.lost: str | None = None
        """Why nothing more can be told."""
        self._thread = threading.Thread(
            target=_watch, args=(weakref.ref(self), pause), name="hwlit-gpu", daemon=True
        )

    def read(self) -> dict[str, float]:
        """Return the sums of all samples by name; a window that had none gets one here."""
        if self._thread.ident is None:
            self._thread.start()
        if not self._fresh:
            self.look()
        with self._lock:
            self._fresh = False
            return dict(self._sums)

    def look(self) -> None:
        """Take one sample."""
        if self.lost is not None:
            return
        start = time.perf_counter()
        try:
            sample = self._gpu.sample(self._own)
        except ResourceError as error:  # an observer must not end the run that it observes
            self.lost = str(error)
            return
        with self._lock:
            for name, value in _summands(sample).items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            spent = self._sums.get("gpu/seconds", 0.0) + time.perf_counter() - start
            self._sums["gpu/seconds"] = spent
            self._fresh = True


def _summands(sample: GpuSample) -> dict[str, float]:
    found = {"gpu/samples": 1.0}
    if sample.utilisation is not None:
        found |= {"gpu/utilisation": sample.utilisation, "gpu/utilisation/samples": 1.0}
    if sample.clock is not None:
        found |= {"gpu/clock": sample.clock, "gpu/clock/samples": 1.0}
        if (sample.utilisation or 0.0) >= BUSY and not sample.power_capped:
            found |= {"gpu/busy_clock": sample.clock, "gpu/busy_clock/samples": 1.0}
    if sample.slowed is not None:
        found |= {"gpu/slowed": float(bool(sample.slowed)), "gpu/slowed/samples": 1.0}
        found |= {f"gpu/why/{why}": 1.0 for why in sample.slowed}
    if sample.others is not None:
        found |= {"gpu/others": sample.others, "gpu/others/samples": 1.0}
    if sample.other_processes is not None:
        shared = float(sample.other_processes > 0)
        found |= {"gpu/shared": shared, "gpu/shared/samples": 1.0}
    return found


def mean(counts: Mapping[str, float], name: str) -> float | None:
    """Return the mean of a quantity over the samples of a phase; None where there are none.

    Args:
        counts: Differences of `GpuWatch.read`.
        name: Such as `gpu/utilisation`.
    """
    samples = counts.get(f"{name}/samples", 0.0)
    return counts.get(name, 0.0) / samples if samples else None


def _watch(watch_ref: weakref.ref[GpuWatch], pause: float) -> None:
    while True:
        time.sleep(pause)
        watch = watch_ref()
        if watch is None or watch.lost is not None:
            return
        with contextlib.suppress(Exception):  # nobody could be told in this thread
            watch.look()
        del watch
