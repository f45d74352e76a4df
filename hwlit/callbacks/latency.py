"""The latency probe: base, adapter unmerged and adapter merged, on real inputs.

The variants are timed in turns (A, B, C, then B, C, A, ...), so that a machine that slows down
slows all of them, and each stands at each place; the ratio to the base is the figure to trust.
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
from hwlit.metrics.turns import ratio_by_turns
from hwlit.records import COST, Reading, counted, measured

PERCENTILES = (50, 90, 95, 99)
# What ratios are over, the first that was timed: beside a quantised base its full precision.
BESIDE = ("reference", "base")

Batch = dict[str, Tensor]
Forward = Callable[[Batch], Any]
Turns = list[list[float]]  # seconds of each call, by turn


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
    min_calls: int = 16
    block: int = 4


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
                turns = self._interleave(forwards, key, given)
                beside = next((name for name in BESIDE if name in turns), None)
                for name, own in turns.items():
                    self._book(name, key, given, own)
                    if beside is not None and name != beside:
                        self._book_ratio(f"latency/{name}/{key}/over_base", own, beside, turns)

    def same(self, reason: str) -> None:
        """Say that base, unmerged and merged are one set of modules, timed once."""
        for name, reading in list(self._readings.items()):
            for variant in ("base", "merged"):
                twin = name.replace("/unmerged/", f"/{variant}/")
                how = reading.how.and_(f"; same modules as unmerged: {reason}")
                self._readings[twin] = replace(reading, how=how)
            if name.endswith("/p50"):
                for variant in ("unmerged", "merged"):
                    stem = name.replace("/unmerged/", f"/{variant}/").removesuffix("p50")
                    how = counted(f"the same modules as the base: {reason}")
                    self._readings[stem + "over_base"] = Reading(
                        1.0, "1", how, 1.0, 1.0, measure=COST
                    )

    def missing(self, reasons: Mapping[str, str]) -> None:
        """Say why variants were not timed."""
        self._absent |= {f"latency/{variant}": reason for variant, reason in reasons.items()}

    def readings(self) -> Mapping[str, Reading]:
        """Return seconds per call by variant, input and percentile, and ratios to the base.

        The base of `over_base` is the network in full precision where there is one.
        """
        return self._readings

    def absent(self) -> Mapping[str, str]:
        """Return the variants that were not timed."""
        return self._absent

    def _interleave(
        self, forwards: Mapping[str, Forward], key: str, given: Input
    ) -> dict[str, Turns]:
        for name, forward in forwards.items():
            cold = self._call(forward, given)
            how = measured("perf_counter, the first call in inference mode")
            self._readings[f"latency/{name}/{key}/cold"] = Reading(
                cold, "s", how, n=1, measure=COST
            )
            for _ in range(given.warmup_calls):
                self._call(forward, given)
        turns: dict[str, Turns] = {name: [] for name in forwards}
        order = list(forwards)
        while any(self._unfinished(found, given) for found in turns.values()):
            for name in order:
                calls = [self._call(forwards[name], given) for _ in range(given.block)]
                turns[name].append(calls)
            # In one order a machine that grows slower would favour the first, by 7 % in three turns
            # of a probe in which it slows by 30 %.
            order = [*order[1:], order[0]]
        return turns

    def _unfinished(self, turns: Turns, given: Input) -> bool:
        times = [seconds for calls in turns for seconds in calls]
        return len(times) < given.min_calls or sum(times) < self._min_seconds

    def _call(self, forward: Forward, given: Input) -> float:
        """Return the seconds of one call, from queued to done."""
        self._device.synchronize()
        start = time.perf_counter()
        forward(given.batch)
        self._device.synchronize()
        return time.perf_counter() - start

    def _book(self, name: str, key: str, given: Input, turns: Turns) -> None:
        times = [call for calls in turns for call in calls]
        seconds = torch.tensor(times, dtype=torch.double)
        how = measured(
            f"perf_counter around synchronised calls, {given.what}, "
            f"{given.warmup_calls} warm-up calls"
        )
        for percent in PERCENTILES:
            value = float(seconds.quantile(percent / 100))
            self._readings[f"latency/{name}/{key}/p{percent}"] = Reading(
                value, "s", how, n=len(seconds), measure=COST
            )

    def _book_ratio(self, name: str, own: Turns, beside: str, turns: Mapping[str, Turns]) -> None:
        try:
            found = ratio_by_turns(own, turns[beside])
        except ValueError:
            self._absent[name] = "the clock stood still in a turn: the calls are too short for it"
            return
        of_what = "base" if beside == "base" else "network in full precision"
        self._readings[name] = Reading(
            found.value,
            "1",
            measured(
                f"mean log ratio to the {of_what} turn by turn, medians of {len(own[0])} calls"
            ),
            found.low,
            found.high,
            found.turns,
            "t over the log ratios of the turns",
            measure=COST,
        )
