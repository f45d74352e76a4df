"""The face that every device shows to the callbacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from hwlit.devices.clock import Clock, Mark
from hwlit.devices.energy import EnergyCounter
from hwlit.devices.gpu_load import Sampled
from hwlit.records import Reading


class Device(ABC):
    """A device that runs the training, as something to measure.

    Names in `absent()`: `peak_memory/<key>` for a key that `peak_memory()` cannot give and
    `peak_memory` where that is the main one, `energy/<component>` for a component without a
    counter, `energy/<component>_measured` for one that is only estimated, and `energy` where there
    is no counter at all.

    Attributes:
        kind: "cpu", "cuda", "tpu" or, for the rest, the type of the torch device.
        main_memory: The key of `peak_memory()` that tells what a run needs of this device.
        clock: What `mark` and `elapsed` read; `clock.how` is how its readings were obtained.
    """

    kind: str
    main_memory: str
    clock: Clock

    def mark(self) -> Mark:
        """Mark the present point in the stream of work: cheap, and without waiting for it."""
        return self.clock.mark()

    def elapsed(self, start: Mark, end: Mark) -> float:
        """Return the seconds between two marks; may wait until the device has passed them."""
        return self.clock.elapsed(start, end)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what this device is, as plain JSON data; memory in bytes."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has finished all queued work."""

    @abstractmethod
    def reset_peak_memory(self) -> None:
        """Start a new window for the peaks."""

    @abstractmethod
    def peak_memory(self) -> dict[str, Reading]:
        """Return the peaks since the last reset, in bytes.

        `main_memory` comes first; where it cannot be read it is missing, and `absent()` says why.
        """

    @abstractmethod
    def current_memory(self) -> dict[str, Reading]:
        """Return what is in use now, in bytes, under the keys of `peak_memory()`."""

    @abstractmethod
    def absent(self) -> dict[str, str]:
        """Return the quantities that this device cannot give, each with its reason."""

    @abstractmethod
    def energy_counters(self) -> tuple[EnergyCounter, ...]:
        """Return the best available counter of each component; the same objects at each call."""

    def sampled(self) -> Sampled | None:
        """Return what tells the load of a GPU; None where nothing does."""
        return None
