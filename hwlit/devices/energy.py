"""Energy counters, and the difference between two readings of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hwlit.errors import ResourceError
from hwlit.records import COST, How, Reading


class EnergyCounter(ABC):
    """Counts the joules of one component.

    Attributes:
        component: What is counted: "gpu", "cpu" or "dram".
        how: How its joules are obtained.
        measured: Whether the hardware counts, rather than a formula.
        update_period: Seconds between two updates; a shorter window cannot be read.
        whole_node: Whether it counts for all processes on the node, so that of a job's processes
            one per node must read it; else it counts this process and its descendants.
    """

    component: str
    how: How
    measured: bool
    update_period: float
    whole_node = True

    @abstractmethod
    def read(self) -> float:
        """Return the joules since an arbitrary origin, never fewer than before.

        Raises:
            ResourceError: The source can no longer be read.
        """

    def reading(self, joules: float) -> Reading:
        """Return joules of a window as a reading."""
        return Reading(joules, "J", self.how, measure=COST)

    def codecarbon(self, joules: float, seconds: float) -> Reading | None:
        """Return what CodeCarbon would book for a window; None where the hardware counts.

        Args:
            joules: What this counter counted.
            seconds: How long the window was, above 0.
        """
        return None


class SummedCounter(EnergyCounter):
    """Adds counters of one component, such as those of several GPUs.

    Args:
        counters: Two or more, all of one component and one kind.
    """

    def __init__(self, counters: Sequence[EnergyCounter]) -> None:
        self.component = counters[0].component
        self.how = counters[0].how.and_(f", sum of {len(counters)}")
        self.measured = counters[0].measured
        self.update_period = max(counter.update_period for counter in counters)
        self.whole_node = counters[0].whole_node
        self._counters = tuple(counters)

    def read(self) -> float:
        """Return the sum of the joules.

        Raises:
            ResourceError: One of the sources can no longer be read.
        """
        return sum(counter.read() for counter in self._counters)


@dataclass(frozen=True)
class EnergySources:
    """The counters that were found, and why others were not.

    Args:
        counters: At most one per component.
        absent: The reasons, by the names of `Device.absent`.
    """

    counters: tuple[EnergyCounter, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)

    def joined(self, other: EnergySources) -> EnergySources:
        """Return these sources followed by the others."""
        return EnergySources(self.counters + other.counters, {**self.absent, **other.absent})

    def reasons(self) -> dict[str, str]:
        """Return the reasons, with one for `energy` where nothing at all can be counted."""
        if self.counters:
            return dict(self.absent)
        return {"energy": "; ".join(self.absent.values()), **self.absent}


@dataclass(frozen=True)
class EnergyUse:
    """What was used in a window.

    Args:
        seconds: How long the window was.
        readings: Joules by component.
        absent: Components that could not be read, each with its reason.
    """

    seconds: float
    readings: Mapping[str, Reading]
    absent: Mapping[str, str]


class EnergyWindow:
    """Reads the counters when it is made and again at each `close`.

    Synchronise the device before both, else queued work is booked to the wrong window.

    Args:
        counters: At most one per component.
    """

    def __init__(self, counters: Sequence[EnergyCounter]) -> None:
        self._counters = tuple(counters)
        self._opened_s = time.perf_counter()
        self._start_j, self._failed = _read_all(self._counters)

    def close(self) -> EnergyUse:
        """Return what was used since the window was opened."""
        seconds = time.perf_counter() - self._opened_s
        end_j, failed = _read_all(self._counters)
        absent = {**failed, **self._failed}
        readings: dict[str, Reading] = {}
        for counter in self._counters:
            if counter.component in absent:
                continue
            used_j = end_j[counter.component] - self._start_j[counter.component]
            short = seconds < counter.update_period
            if used_j == 0 and (counter.measured or short):
                absent[counter.component] = _unmoved(counter, seconds)
                continue
            reading = counter.reading(used_j)
            if short:
                caveat = f"; {_too_short(counter, seconds)}"
                reading = replace(reading, how=reading.how.and_(caveat))
            readings[counter.component] = reading
        return EnergyUse(seconds, readings, absent)


def idle_power(counters: Sequence[EnergyCounter], seconds: float) -> dict[str, Reading]:
    """Do nothing for `seconds` and return the mean watts by component.

    Only hardware counters are asked: a formula over CPU time would call idling free.

    Raises:
        ValueError: `seconds` is shorter than the update period of a counter.
    """
    measured = [counter for counter in counters if counter.measured]
    if not measured:
        return {}
    slowest_s = max(counter.update_period for counter in measured)
    if seconds < slowest_s:
        raise ValueError(
            f"idle power over {seconds} s: the counters are updated every {slowest_s} s"
        )
    window = EnergyWindow(measured)
    time.sleep(seconds)
    use = window.close()
    return {
        component: Reading(
            reading.value / use.seconds,
            "W",
            reading.how.and_(f", mean of {use.seconds:.3g} s idle"),
        )
        for component, reading in use.readings.items()
    }


def _read_all(counters: Sequence[EnergyCounter]) -> tuple[dict[str, float], dict[str, str]]:
    joules: dict[str, float] = {}
    failed: dict[str, str] = {}
    for counter in counters:
        try:
            joules[counter.component] = counter.read()
        except ResourceError as error:  # an observer must not end the run that it observes
            failed[counter.component] = str(error)
    return joules, failed


def _unmoved(counter: EnergyCounter, seconds: float) -> str:
    return (
        f"the counter did not move in {seconds:.3g} s; it is updated every "
        f"{counter.update_period:.3g} s: measure a longer window"
    )


def _too_short(counter: EnergyCounter, seconds: float) -> str:
    return (
        f"the window of {seconds:.3g} s is shorter than the update period of "
        f"{counter.update_period:.3g} s, so that energy from before it may be in it"
    )
