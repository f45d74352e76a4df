"""The latency probe: base, adapter unmerged and adapter merged, on real inputs.

The variants are timed in turns (A, B, C, A, B, C, ...), so that a machine that slows down slows
all of them; the ratio to the base is the figure to trust.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hwlit.callbacks.monitor import Monitor
from hwlit.devices.base import Device
from hwlit.records import Reading

WARMUP_CALLS = 10
MIN_CALLS = 10
BLOCK = 5  # calls in a turn: long enough to warm the caches, short enough to share a slow spell
PERCENTILES = (50, 90, 95, 99)

Forward = Callable[[dict[str, Tensor]], Tensor]


class Latency(Monitor):
    """Times single calls of the network in inference mode.

    Args:
        device: The device that computes.
        min_seconds: Least time per variant and batch; at least 10 calls are made in any case.
    """

    def __init__(self, device: Device, min_seconds: float) -> None:
        super().__init__()
        self._device = device
        self._min_seconds = min_seconds
        self._readings: dict[str, Reading] = {}
        self._absent: dict[str, str] = {}

    def probe(
        self, forwards: Mapping[str, Forward], batches: Mapping[int, dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Time variants beside one another.

        Args:
            forwards: Forward by name (`base`, `unmerged`, `merged`), of networks in eval mode.
            batches: Inputs on the device, by batch size.

        Returns:
            What each variant computed for the largest batch.
        """
        with torch.inference_mode():
            for size, batch in batches.items():
                times = self._interleave(forwards, batch, size)
                for name, seconds in times.items():
                    self._book(name, size, batch, seconds)
                    if name != "base" and "base" in times:
                        self._book_ratio(name, size, seconds, times["base"])
            return {name: forward(batches[max(batches)]) for name, forward in forwards.items()}

    def same(self, reason: str) -> None:
        """Say that base, unmerged and merged are one set of modules, timed once."""
        for name, reading in list(self._readings.items()):
            for variant in ("base", "merged"):
                twin = name.replace("/unmerged/", f"/{variant}/")
                method = f"{reading.method}; same modules as unmerged: {reason}"
                self._readings[twin] = Reading(reading.value, reading.unit, method, n=reading.n)

    def missing(self, reasons: Mapping[str, str]) -> None:
        """Say why variants were not timed."""
        self._absent |= {f"latency/{variant}": reason for variant, reason in reasons.items()}

    def readings(self) -> Mapping[str, Reading]:
        """Return the latencies in seconds per call, by variant, batch size and percentile."""
        return self._readings

    def absent(self) -> Mapping[str, str]:
        """Return the variants that were not timed."""
        return self._absent

    def _interleave(
        self, forwards: Mapping[str, Forward], batch: dict[str, Tensor], size: int
    ) -> dict[str, Tensor]:
        for name, forward in forwards.items():
            cold = self._call(forward, batch)
            self._readings[f"latency/{name}/batch_{size}/cold"] = Reading(
                cold, "s", "measured: perf_counter, the first call in inference mode", n=1
            )
            for _ in range(WARMUP_CALLS):
                self._call(forward, batch)
        times: dict[str, list[float]] = {name: [] for name in forwards}
        while any(self._unfinished(found) for found in times.values()):
            for name, forward in forwards.items():
                times[name] += [self._call(forward, batch) for _ in range(BLOCK)]
        return {name: torch.tensor(found, dtype=torch.double) for name, found in times.items()}

    def _unfinished(self, times: list[float]) -> bool:
        return len(times) < MIN_CALLS or sum(times) < self._min_seconds

    def _call(self, forward: Forward, batch: dict[str, Tensor]) -> float:
        """Return the seconds of one call, from queued to done."""
        self._device.synchronize()
        start = time.perf_counter()
        forward(batch)
        self._device.synchronize()
        return time.perf_counter() - start

    def _book(self, name: str, size: int, batch: dict[str, Tensor], seconds: Tensor) -> None:
        length = batch["input_ids"].shape[1]
        method = (
            f"measured: perf_counter around synchronised calls, {size} x {length} tokens from the "
            f"test rows, {WARMUP_CALLS} warm-up calls"
        )
        for percent in PERCENTILES:
            value = float(seconds.quantile(percent / 100))
            self._readings[f"latency/{name}/batch_{size}/p{percent}"] = Reading(
                value, "s", method, n=len(seconds)
            )

    def _book_ratio(self, name: str, size: int, seconds: Tensor, base: Tensor) -> None:
        self._readings[f"latency/{name}/batch_{size}/over_base"] = Reading(
            float(seconds.median() / base.median()),
            "1",
            f"measured: ratio of medians, timed in turns with the base, {BLOCK} calls a turn",
            n=len(seconds),
        )
