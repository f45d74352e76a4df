"""Seconds between two points in a device's stream of work."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hwlit.records import How, measured


@dataclass(frozen=True)
class Mark:
    """A point in the stream of work, readable only by the device that made it.

    Args:
        point: Seconds of the host clock, or a recorded event.
    """

    point: Any


class TimedEvent(Protocol):
    """What an event of any torch back end offers once it is recorded."""

    def synchronize(self) -> None:
        """Wait until the device has passed the event."""

    def elapsed_time(self, end_event: Any, /) -> float:
        """Return the milliseconds from this event to `end_event`."""


class Clock(ABC):
    """Makes marks without blocking and measures between them.

    Attributes:
        how: How its seconds are obtained.
    """

    how: How

    @abstractmethod
    def mark(self) -> Mark:
        """Mark the present point in the stream of work, without waiting for it."""

    @abstractmethod
    def elapsed(self, start: Mark, end: Mark) -> float:
        """Return the seconds from `start` to `end`; waits until the device has passed `end`."""


class HostClock(Clock):
    """Reads `time.perf_counter`.

    Args:
        source: What gives the seconds, where it is more than reading the clock.
    """

    def __init__(self, source: str = "time.perf_counter") -> None:
        self.how = measured(source)

    def mark(self) -> Mark:
        """Note the host's clock."""
        return Mark(time.perf_counter())

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Return the seconds between two notes."""
        return float(end.point - start.point)


class EventClock(Clock):
    """Lets the device itself note when it passes a mark.

    Args:
        record: Makes an event with timing and records it in the device's current stream.
        source: Which events these are.
    """

    def __init__(self, record: Callable[[], TimedEvent], source: str) -> None:
        self._record = record
        self.how = measured(source)

    def mark(self) -> Mark:
        """Record an event in the current stream."""
        return Mark(self._record())

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Wait for the event `end` and return the seconds since `start`."""
        end.point.synchronize()
        return float(start.point.elapsed_time(end.point)) / 1000
