"""What every observer of a run offers: readings, reasons for what is absent, and its own cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback

from hwlit.records import Reading, measured


class Monitor(Callback):
    """A callback that observes; the recorder asks it for what it saw."""

    def __init__(self) -> None:
        self.own_time = 0.0
        """Seconds spent in this monitor's own per-step hooks."""

    def readings(self) -> Mapping[str, Reading]:
        """Return what was measured, by name `phase/quantity`."""
        return {}

    def absent(self) -> Mapping[str, str]:
        """Return the names of what could not be measured, each with the reason."""
        return {}

    def details(self) -> Mapping[str, Any]:
        """Return what is no scalar: values of further fields of a `Record`, by name.

        A field that several monitors give, such as `exhibits`, holds what all of them give.
        """
        return {}

    def share(self) -> Any:
        """Return what the first process of a job must know of this one."""
        return None

    def join(self, others: Sequence[Any]) -> None:
        """Take in what the other processes shared, in the order of their ranks."""

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time of the block as this monitor's own."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.own_time += time.perf_counter() - start


def overhead(monitors: Iterable[Monitor], loop: Reading | None) -> dict[str, Reading]:
    """Return what the step hooks of the monitors cost, as a share of the train loop.

    Args:
        monitors: All that have such hooks.
        loop: The wall time of the loop; None where nothing was trained.
    """
    if loop is None:
        return {}
    own = sum(monitor.own_time for monitor in monitors)
    how = measured("perf_counter inside our step hooks, over fit/wall_time")
    return {"fit/monitor_overhead": Reading(own / loop.value, "1", how)}
