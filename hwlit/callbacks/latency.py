"""The latency probe: base, adapter unmerged and adapter merged, on real inputs.

The variants are timed in turns (A, B, C, A, B, C, ...), so that a machine that slows down slows
all of them; the ratio to the base is the figure to trust.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hwlit.callbacks.monitor import Monitor
from hwlit.devices.base import Device
from hwlit.records import COST, Reading, measured

PERCENTILES = (50, 90, 95, 99)

Batch = dict[str, Tensor]
Forward = Callable[[Batch], Any]


@dataclass(frozen=True)
class Input:
    """What the variants are timed on, and how often.

    Args:
        batch: What a forward takes, on the device.
        what: What it is, in words, such as `16 x 37 tokens from the test rows`.
        warmup_calls: Calls before the first that is timed.
        min_calls: Fewest calls that are timed.
        block: Calls in a turn: long enough to warm the caches, short enough to share a slow spell.
    """

    batch: Batch
    what: str
    warmup_calls: int = 10
    min_calls: int = 10
    block: int = 5


class Latency(Monitor):
    """Times single calls of the network in inference mode.

    Args:
        device: The device that computes.
        min_seconds: Least time per variant and input.
    """

    def __init__(self, device: Device, min_seconds: float) -> None:
        super().__init__()
        self._device = device
        self._min_seconds = min_seconds
        self._readings: dict[str, Reading] = {}
        self._absent: dict[str, str] = {}

    def probe(self, forwards: Mapping[str, Forward], inputs: Mapping[str, Input]) -> None:
        """Time variants beside one another.

        Args:
            forwards: Forward by name (`base`, `unmerged`, `merged`), of networks in eval mode.
            inputs: What to give them, by the name that the readings have for it (`batch_1`).
        """
        with torch.inference_mode():
            for key, given in inputs.items():
                times = self._interleave(forwards, key, given)
                for name, seconds in times.items():
                    self._book(name, key, given, seconds)
                    if name != "base" and "base" in times:
                        self._book_ratio(name, key, seconds, times["base"])

    def same(self, reason: str) -> None:
        """Say that base, unmerged and merged are one set of modules, timed once."""
        for name, reading in list(self._readings.items()):
            for variant in ("base", "merged"):
                twin = name.replace("/unmerged/", f"/{variant}/")
                how = reading.how.and_(f"; same modules as unmerged: {reason}")
                self._readings[twin] = replace(reading, how=how)

    def missing(self, reasons: Mapping[str, str]) -> None:
        """Say why variants were not timed."""
        self._absent |= {f"latency/{variant}": reason for variant, reason in reasons.items()}

    def readings(self) -> Mapping[str, Reading]:
        """Return the latencies in seconds per call, by variant, input and percentile."""
        return self._readings

    def absent(self) -> Mapping[str, str]:
        """Return the variants that were not timed."""
        return self._absent

    def _interleave(
        self, forwards: Mapping[str, Forward], key: str, given: Input
    ) -> dict[str, Tensor]:
        for name, forward in forwards.items():
            cold = self._call(forward, given)
            how = measured("perf_counter, the first call in inference mode")
            self._readings[f"latency/{name}/{key}/cold"] = Reading(
                cold, "s", how, n=1, measure=COST
            )
            for _ in range(given.warmup_calls):
                self._call(forward, given)
        times: dict[str, list[float]] = {name: [] for name in forwards}
        while any(self._unfinished(found, given) for found in times.values()):
            for name, forward in forwards.items():
                times[name] += [self._call(forward, given) for _ in range(given.block)]
        return {name: torch.tensor(found, dtype=torch.double) for name, found in times.items()}

    def _unfinished(self, times: list[float], given: Input) -> bool:
        return len(times) < given.min_calls or sum(times) < self._min_seconds

    def _call(self, forward: Forward, given: Input) -> float:
        """Return the seconds of one call, from queued to done."""
        self._device.synchronize()
        start = time.perf_counter()
        forward(given.batch)
        self._device.synchronize()
        return time.perf_counter() - start

    def _book(self, name: str, key: str, given: Input, seconds: Tensor) -> None:
        how = measured(
            f"perf_counter around synchronised calls, {given.what}, "
            f"{given.warmup_calls} warm-up calls"
        )
        for percent in PERCENTILES:
            value = float(seconds.quantile(percent / 100))
            self._readings[f"latency/{name}/{key}/p{percent}"] = Reading(
                value, "s", how, n=len(seconds), measure=COST
            )

    def _book_ratio(self, name: str, key: str, seconds: Tensor, base: Tensor) -> None:
        self._readings[f"latency/{name}/{key}/over_base"] = Reading(
            float(seconds.median() / base.median()),
            "1",
            measured("ratio of medians, timed in turns with the base"),
            n=len(seconds),
            measure=COST,
        )
